//! Filters and joins of batch transforms: paths, and the records and answers that they are of.

use codecs::framing::SplitType;
use serde_json::value::RawValue;
use transform::process::{DataProcessing, ObjectId, Processing};
use transform::settings::{AssembleWith, InferenceIds};

/// The kinds of records that are processed.
const KINDS: [&str; 3] = ["text/csv", "application/json", "application/jsonlines"];

/// A request whose members go together.
fn asked(content_type: &str) -> DataProcessing<'_> {
    let is_document = content_type == "application/json";
    DataProcessing {
        content_type: Some(content_type),
        split_type: if is_document { SplitType::None } else { SplitType::Line },
        assemble_with: if is_document { AssembleWith::None } else { AssembleWith::Line },
        ..DataProcessing::default()
    }
}

fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

/// What `append` puts behind what stood there, which stays: nothing where it refuses.
fn appended(append: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let is_accepted = append(&mut out);
    let appended = out.strip_prefix(b"before").expect("what stood there stays");
    assert!(is_accepted || appended.is_empty(), "a refusal leaves nothing behind");
    is_accepted.then(|| appended.to_vec())
}

/// A path: what is accepted is short, starts at the root, and makes parts of records.
pub fn json_path(path: &[u8]) {
    const RECORDS: [(&str, &str); 5] = [
        ("text/csv", "1,2.50,\"a,b\",,é\n"),
        ("text/csv", "7"),
        ("application/json", "{\"a\":{\"b\":[1,{\"a\":2}],\"a\":[]},\"b\":1e400,\"a_\\u0062\":null}"),
        ("application/json", "[[1,2],{\"a\":0},[3],4,5]"),
        ("application/jsonlines", "{\"a\":[{\"a\":1},{\"a\":2}]}\r\n"),
    ];
    let Ok(path) = std::str::from_utf8(path) else { return };
    for ((content_type, record), slices_include_end) in
        RECORDS.into_iter().flat_map(|of| [(of, false), (of, true)])
    {
        let asked = DataProcessing { input_filter: Some(path), slices_include_end, ..asked(content_type) };
        let Ok(Some(processing)) = Processing::parse(&asked) else { continue };
        assert!(path.starts_with('$') && path.chars().count() <= 63, "{path:?} is a path");
        let request = appended(|out| processing.request(record.as_bytes(), out).is_ok());
        if content_type != "text/csv" {
            assert!(request.is_none_or(|request| is_json(&request)), "{path:?} selects JSON");
        }
    }
}

/// A kind, a path, a record and an answer, a line break apart: written is what the kind is, and a join without a filter loses
/// nothing.
pub fn processing(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let mut parts = bytes.splitn(3, |&byte| byte == b'\n');
    let (Some(path), Some(record), Some(answer)) = (parts.next(), parts.next(), parts.next()) else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let ids = InferenceIds { started: "2024-01-02T03:04:05Z".to_owned() };
    let content_type = KINDS[usize::from(choice) % KINDS.len()];
    let asked = DataProcessing {
        output_filter: Some(path),
        joins_input: choice & 0x10 == 0,
        inference_ids: (choice & 0x20 != 0).then_some(&ids),
        ..asked(content_type)
    };
    let Ok(Some(processing)) = Processing::parse(&asked) else { return };
    let records = if content_type == "application/json" { 1 } else { 1 + usize::from(choice >> 6) };
    let Ok(answers) = processing.split_answer(answer, records) else { return };
    assert_eq!(answers.len(), records, "an answer a record");
    let object = ObjectId::new("job", "key");
    for (number, answer) in (0..).zip(answers) {
        let written = appended(|out| processing.response(record, answer, object.record(number), out).is_ok());
        let Some(written) = written else { continue };
        if content_type != "text/csv" {
            let is_read = asked.joins_input || asked.inference_ids.is_some() || path != "$";
            assert!(!is_read || is_json(&written), "{path:?} writes JSON");
        } else if path == "$" && asked.joins_input && asked.inference_ids.is_none() {
            assert_eq!(written, [record, b",", answer, b"\n"].concat(), "a join is both");
        }
    }
}
