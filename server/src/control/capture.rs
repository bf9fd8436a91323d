//! Data capture's writer: records become lines of JSON, lines become objects of an hour, a minute or eight mebibytes,
//! whichever ends first.
//!
//! Key: `<destination>/<endpoint>/<variant>/YYYY/MM/DD/HH/mm-ss-fff-<uuid>.jsonl`, by the UTC time of the first line.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};
use wire::Timestamp;

use super::{ids, upload};
use crate::buckets::Buckets;
use crate::metrics::Metrics;
use crate::serving::capture::{CaptureEvent, CaptureInbox, CapturePlan, CaptureQueue, Captured};
use crate::serving::draw::threshold;

/// The largest file before it goes out. Reason: one request of S3, and a comfortable read for whoever looks at it.
const FILE_BYTES_MAX: usize = 8 << 20;

/// How long a line waits for others. Reason: monitoring reads by the hour and people by the minute.
const FILE_AGE_MAX: Duration = Duration::from_secs(60);

/// Files being filled at once. Reason: one a variant; beyond this the fullest goes out early.
const FILES_MAX: usize = 256;

/// What `config`, an endpoint configuration, has `endpoint` capture; `None` when nothing.
pub(super) fn plan(endpoint: &str, config: &Map<String, Value>, queue: &CaptureQueue) -> Option<CapturePlan> {
    let capture = config.get("DataCaptureConfig")?;
    if capture.get("EnableCapture").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let percentage = capture.get("InitialSamplingPercentage").and_then(Value::as_f64).unwrap_or_default();
    let modes: Vec<_> = capture
        .get("CaptureOptions")?
        .as_array()?
        .iter()
        .filter_map(|option| option.get("CaptureMode")?.as_str())
        .collect();
    let has = |mode: &str| modes.iter().any(|found| *found == mode || *found == "InputAndOutput");
    let types = |member: &str| -> Vec<String> {
        let listed =
            capture.get("CaptureContentTypeHeader").and_then(|header| header.get(member)?.as_array());
        let texts = listed.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    Some(CapturePlan {
        endpoint: endpoint.to_owned(),
        destination: capture.get("DestinationS3Uri")?.as_str()?.to_owned(),
        threshold: threshold(percentage / 100.0),
        has_input: has("Input"),
        has_output: has("Output"),
        csv_types: types("CsvContentTypes"),
        json_types: types("JsonContentTypes"),
        queue: queue.clone(),
    })
}

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Series {
    destination: String,
    endpoint: String,
    variant: Bytes,
    /// Hours since 1970.
    hour: i64,
}

/// Lines that will be one object.
#[derive(Debug)]
struct File {
    lines: Vec<u8>,
    records: u64,
    first: Timestamp,
    due: Instant,
}

/// The writer.
#[derive(Debug)]
pub struct CaptureWriter {
    buckets: Arc<Buckets>,
    metrics: Arc<Metrics>,
    files: HashMap<Series, File>,
}

impl CaptureWriter {
    /// A writer with nothing buffered.
    pub fn new(buckets: Arc<Buckets>, metrics: Arc<Metrics>) -> Self {
        Self { buckets, metrics, files: HashMap::new() }
    }

    /// Writes until nobody can capture any more, then what is left.
    pub async fn run(mut self, mut inbox: CaptureInbox) {
        loop {
            let due = self.files.values().map(|file| file.due).min();
            tokio::select! {
                event = inbox.next() => match event {
                    Some(CaptureEvent::Record(captured)) => self.add(&captured).await,
                    Some(CaptureEvent::Flush(endpoint)) => self.flush(|series| series.endpoint == endpoint).await,
                    Some(CaptureEvent::End(told)) => {
                        self.flush(|_| true).await;
                        // Whoever waited may have given up.
                        let _ = told.send(());
                    }
                    None => break,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let now = Instant::now();
                    let late: Vec<_> =
                        self.files.iter().filter(|(_, file)| file.due <= now).map(|(series, _)| series.clone()).collect();
                    self.flush(|series| late.contains(series)).await;
                }
            }
        }
        self.flush(|_| true).await;
    }

    async fn add(&mut self, captured: &Captured) {
        let time = Timestamp(captured.time_ms);
        let series = Series {
            destination: captured.plan.destination.clone(),
            endpoint: captured.plan.endpoint.clone(),
            variant: captured.variant.clone(),
            hour: time.0.div_euclid(3_600_000),
        };
        // An hour that is over gets no more lines but stragglers; it need not wait for its minute.
        let is_over = |other: &Series| {
            other.hour < series.hour && other.endpoint == series.endpoint && other.variant == series.variant
        };
        self.flush(is_over).await;
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&series) {
            let fullest =
                self.files.iter().max_by_key(|(_, file)| file.lines.len()).map(|(series, _)| series.clone());
            self.flush(|series| Some(series) == fullest.as_ref()).await;
        }
        let file = self.files.entry(series.clone()).or_insert_with(|| File {
            lines: Vec::new(),
            records: 0,
            first: time,
            due: Instant::now() + FILE_AGE_MAX,
        });
        serde_json::to_writer(&mut file.lines, &record(captured)).expect("a Vec takes what it is given");
        file.lines.push(b'\n');
        file.records += 1;
        if file.lines.len() >= FILE_BYTES_MAX {
            self.flush(|other| *other == series).await;
        }
    }

    async fn flush(&mut self, is_wanted: impl Fn(&Series) -> bool) {
        let wanted: Vec<_> = self.files.keys().filter(|series| is_wanted(series)).cloned().collect();
        for series in wanted {
            let file = self.files.remove(&series).expect("it was listed just now");
            let records = file.records;
            if let Err(error) = self.upload(&series, file).await {
                self.metrics.capture_dropped.increment(records);
                tracing::error!(endpoint = series.endpoint, records, %error, "captured records could not be stored");
            }
        }
    }

    async fn upload(&self, series: &Series, file: File) -> anyhow::Result<()> {
        let variant = String::from_utf8_lossy(&series.variant);
        let url = location(&series.destination, &series.endpoint, &variant, file.first, &ids::uuid());
        upload::put(&self.buckets, &url, Bytes::from(file.lines), "application/jsonl").await
    }
}

/// Where a file goes, below the `s3://` address of its destination.
fn location(destination: &str, endpoint: &str, variant: &str, first: Timestamp, id: &str) -> String {
    let destination = destination.trim_end_matches('/');
    let (hour, moment) = (first.format("%Y/%m/%d/%H"), first.format("%M-%S-%3f"));
    format!("{destination}/{endpoint}/{variant}/{hour}/{moment}-{id}.jsonl")
}

/// The line of a record.
fn record(captured: &Captured) -> Value {
    let plan = &captured.plan;
    let mut data = Map::new();
    if let Some((media_type, body)) = &captured.input {
        data.insert("endpointInput".into(), side(plan, "INPUT", media_type, body));
    }
    if let Some((media_type, body)) = &captured.output {
        data.insert("endpointOutput".into(), side(plan, "OUTPUT", media_type, body));
    }
    let mut metadata = Map::new();
    metadata.insert("eventId".into(), captured.event_id.clone().into());
    if let Some(attributes) = &captured.custom_attributes {
        metadata.insert("customAttributes".into(), json!([attributes]));
    }
    if let Some(id) = &captured.inference_id {
        metadata.insert("inferenceId".into(), id.clone().into());
    }
    metadata.insert("inferenceTime".into(), Timestamp(captured.time_ms).iso8601().into());
    json!({ "captureData": data, "eventMetadata": metadata, "eventVersion": "0" })
}

/// One side of a request: text where its media type is listed as text and it is, else base64.
fn side(plan: &CapturePlan, mode: &str, media_type: &str, body: &Bytes) -> Value {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    let is_listed = |types: &[String]| types.iter().any(|listed| listed.eq_ignore_ascii_case(bare));
    let encoding = match std::str::from_utf8(body) {
        Ok(_) if is_listed(&plan.csv_types) => "CSV",
        Ok(_) if is_listed(&plan.json_types) => "JSON",
        _ => "BASE64",
    };
    let data = match encoding {
        "BASE64" => STANDARD.encode(body),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    json!({ "observedContentType": media_type, "mode": mode, "data": data, "encoding": encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(input: (&str, &'static [u8]), output: Option<(&str, &'static [u8])>) -> Captured {
        let own = |(kind, body): (&str, &'static [u8])| (kind.to_owned(), Bytes::from_static(body));
        let plan = CapturePlan {
            endpoint: "e".into(),
            destination: "s3://b/p/".into(),
            threshold: None,
            has_input: true,
            has_output: true,
            csv_types: vec!["text/csv".into()],
            json_types: vec!["application/json".into()],
            queue: CaptureQueue::new().0,
        };
        Captured {
            plan: Arc::new(plan),
            variant: Bytes::from_static(b"v"),
            input: Some(own(input)),
            output: output.map(own),
            custom_attributes: None,
            inference_id: Some("i".into()),
            event_id: "id".into(),
            time_ms: 1_644_846_985_000,
        }
    }

    #[test]
    fn a_configuration_says_what_is_captured() {
        let queue = CaptureQueue::new().0;
        let of = |capture: Value| {
            let config = Map::from_iter([("DataCaptureConfig".to_owned(), capture)]);
            plan("e", &config, &queue)
        };
        let capture = json!({
            "EnableCapture": true,
            "InitialSamplingPercentage": 50,
            "DestinationS3Uri": "s3://b/p",
            "CaptureOptions": [{ "CaptureMode": "Output" }],
            "CaptureContentTypeHeader": { "CsvContentTypes": ["text/csv"] },
        });
        let found = of(capture.clone()).expect("it captures");
        assert!(!found.has_input && found.has_output);
        assert_eq!(
            (found.threshold, &*found.csv_types, found.json_types.len()),
            (Some(1 << 63), &["text/csv".into()][..], 0)
        );
        let mut off = capture;
        off["EnableCapture"] = json!(false);
        assert!(of(off).is_none() && plan("e", &Map::new(), &queue).is_none());
    }

    #[test]
    fn text_is_kept_as_it_is_and_the_rest_is_base64() {
        let check = |input, encoding: &str, data: &str| {
            let line = record(&captured(input, None));
            let side = &line["captureData"]["endpointInput"];
            assert_eq!((&side["encoding"], &side["data"]), (&json!(encoding), &json!(data)));
            assert!(line["captureData"].get("endpointOutput").is_none());
        };
        check(("text/csv; charset=utf-8", b"1,2\n"), "CSV", "1,2\n");
        check(("application/json", b"{\"a\":1}"), "JSON", "{\"a\":1}");
        check(("text/csv", b"\xff"), "BASE64", "/w==");
        check(("application/x-recordio-protobuf", b"\x01"), "BASE64", "AQ==");
    }

    #[test]
    fn a_line_has_the_members_that_readers_know() {
        let line = record(&captured(("text/csv", b"1"), Some(("text/csv", b"0.5"))));
        let expected = json!({
            "captureData": {
                "endpointInput": { "observedContentType": "text/csv", "mode": "INPUT", "data": "1", "encoding": "CSV" },
                "endpointOutput": { "observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.5", "encoding": "CSV" },
            },
            "eventMetadata": { "eventId": "id", "inferenceId": "i", "inferenceTime": "2022-02-14T13:56:25Z" },
            "eventVersion": "0",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_key_is_of_the_hour() {
        let first = Timestamp(1_644_846_985_123);
        let expected = "s3://b/p/e/v/2022/02/14/13/56-25-123-u.jsonl";
        assert_eq!(location("s3://b/p/", "e", "v", first, "u"), expected);
        assert_eq!(location("s3://b/p", "e", "v", first, "u"), expected);
    }
}
