//! From what a request says to [`Settings`]: the request, then the model's own execution parameters, then the defaults.

use std::ops::RangeInclusive;
use std::time::Duration;

use codecs::ContentType;
use codecs::framing::SplitType;
use serde::{Deserialize, Serialize};

use super::{
    Answers, AssembleWith, BatchStrategy, Compression, Extensions, InferenceIds, MIB, PAYLOAD_MB_DEFAULT,
    PayloadLimit, RETRIES_DEFAULT, Settings, SettingsError, TIMEOUT_DEFAULT,
};
use crate::process::{DataProcessing, Processing};

/// `MaxPayloadInMB` at most, and what it may be times `MaxConcurrentTransforms`. Reason: the API's.
pub const PAYLOAD_MB_MAX: u64 = 100;

/// `MaxConcurrentTransforms` at most. Reason: the API's.
pub const CONCURRENCY_MAX: u64 = 100;

/// `InvocationsMaxRetries` at most. Reason: the API's.
pub const RETRIES_MAX: u64 = 3;

/// `InvocationsTimeoutInSeconds` at most. Reason: the API's.
pub const TIMEOUT_SECONDS_MAX: u64 = 3600;

/// What a request says of records; `None`: nothing.
#[derive(Debug, Clone, Default)]
pub struct Requested {
    /// `TransformInput.ContentType`.
    pub content_type: Option<String>,
    /// `TransformOutput.Accept`.
    pub accept: Option<String>,
    /// `TransformInput.CompressionType`.
    pub compression: Option<Compression>,
    /// `TransformInput.SplitType`.
    pub split_type: Option<SplitType>,
    /// `BatchStrategy`. Without a `SplitType` an object is one record, and both mean the same.
    pub strategy: Option<BatchStrategy>,
    /// `MaxPayloadInMB`; 0: endless.
    pub payload_mb: Option<u64>,
    /// `MaxConcurrentTransforms`; 0: nothing said.
    pub concurrency: Option<u64>,
    /// `TransformOutput.AssembleWith`.
    pub assemble_with: Option<AssembleWith>,
    /// `DataProcessing.InputFilter`.
    pub input_filter: Option<String>,
    /// `DataProcessing.JoinSource` is `Input`.
    pub join: bool,
    /// `DataProcessing.OutputFilter`.
    pub output_filter: Option<String>,
    /// `DataCaptureConfig.GenerateInferenceId`.
    pub ids: Option<InferenceIds>,
    /// `ModelClientConfig.InvocationsMaxRetries`.
    pub retries: Option<u64>,
    /// `ModelClientConfig.InvocationsTimeoutInSeconds`.
    pub timeout_seconds: Option<u64>,
    /// What SageMaker does not know.
    pub extensions: Extensions,
}

/// What a model says of itself (`GET /execution-parameters`); `None`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionParameters {
    /// Calls at once.
    pub max_concurrent_transforms: Option<u64>,
    /// How many records a call has.
    pub batch_strategy: Option<BatchStrategy>,
    /// The largest payload.
    #[serde(rename = "MaxPayloadInMB")]
    pub max_payload_in_mb: Option<u64>,
}

/// Settings, and what a person should know of how they came to be.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What is done.
    pub settings: Settings,
    /// That concurrency was lowered, if it was.
    pub notice: Option<String>,
}

impl Requested {
    /// The settings, with what the model and the defaults say where the request says nothing.
    ///
    /// # Errors
    /// When a member is out of its range or two do not go together.
    pub fn resolve(self, model: ExecutionParameters) -> Result<Resolved, SettingsError> {
        let payload_mb = in_range("MaxPayloadInMB", self.payload_mb, 0..=PAYLOAD_MB_MAX)?;
        let concurrency = in_range("MaxConcurrentTransforms", self.concurrency, 0..=CONCURRENCY_MAX)?;
        let (payload_mb, concurrency, notice) = pair(payload_mb, concurrency, model)?;
        let retries = in_range("InvocationsMaxRetries", self.retries, 0..=RETRIES_MAX)?;
        let seconds = in_range("InvocationsTimeoutInSeconds", self.timeout_seconds, 1..=TIMEOUT_SECONDS_MAX)?;
        let mut settings = Settings {
            compression: self.compression.unwrap_or_default(),
            split_type: self.split_type.unwrap_or_default(),
            strategy: self.strategy.or(model.batch_strategy).unwrap_or_default(),
            payload_limit: match payload_mb {
                0 => PayloadLimit::Endless,
                megabytes => {
                    let bytes = megabytes as usize * MIB;
                    PayloadLimit::Bytes(
                        self.extensions.payload_bytes_max.map_or(bytes, |most| most.min(bytes)),
                    )
                }
            },
            concurrency: concurrency as usize,
            assemble_with: self.assemble_with.unwrap_or_default(),
            retries: retries.map_or(RETRIES_DEFAULT, |retries| retries as u32),
            timeout: seconds.map_or(TIMEOUT_DEFAULT, Duration::from_secs),
            error_policy: self.extensions.error_policy,
            skip_blank_lines: self.extensions.skip_blank_lines,
            response_bytes_max: self.extensions.response_bytes_max,
            ..Settings::default()
        };
        settings.processing = self.processing(&settings)?;
        // Where answers are processed, a choice that Accept leaves is made.
        let accept = settings.processing.as_ref().map(|processing| processing.accept().to_owned());
        settings.accept = accept.or(self.accept);
        settings.content_type = self.content_type;
        settings.check_header()?;
        // Of several, the model chooses.
        let accept = settings.accept.as_deref().filter(|accept| !accept.contains(','));
        let answer_type = accept.and_then(|accept| ContentType::parse(accept).ok());
        let settings = settings.answered(answer_type.map_or(Answers::Unknown, Answers::of))?;
        Ok(Resolved { settings, notice })
    }

    fn processing(&self, settings: &Settings) -> Result<Option<Processing>, SettingsError> {
        let asked = DataProcessing {
            input_filter: self.input_filter.as_deref(),
            joins_input: self.join,
            output_filter: self.output_filter.as_deref(),
            inference_ids: self.ids.as_ref(),
            content_type: self.content_type.as_deref(),
            accept: self.accept.as_deref(),
            split_type: settings.split_type,
            assemble_with: settings.assemble_with,
            slices_include_end: self.extensions.slice_inclusive,
        };
        Ok(Processing::parse(&asked)?)
    }
}

/// The payload and the concurrency, whose product has a limit.
fn pair(
    payload_mb: Option<u64>,
    concurrency: Option<u64>,
    model: ExecutionParameters,
) -> Result<(u64, u64, Option<String>), SettingsError> {
    let concurrency = concurrency.filter(|&count| count > 0);
    if let (Some(payload_mb), Some(concurrency)) = (payload_mb, concurrency)
        && payload_mb * concurrency > PAYLOAD_MB_MAX
    {
        return Err(SettingsError::Product { payload_mb, concurrency });
    }
    let payload = payload_mb
        .or(model.max_payload_in_mb.map(|megabytes| megabytes.min(PAYLOAD_MB_MAX)))
        .unwrap_or(PAYLOAD_MB_DEFAULT as u64);
    let wanted = concurrency
        .or(model.max_concurrent_transforms.map(|count| count.clamp(1, CONCURRENCY_MAX)))
        .unwrap_or(1);
    let fitting = PAYLOAD_MB_MAX.checked_div(payload).unwrap_or(wanted).min(wanted);
    let notice = (fitting < wanted).then(|| {
        format!(
            "MaxConcurrentTransforms={wanted} with MaxPayloadInMB={payload} is more than {PAYLOAD_MB_MAX} MB at \
             once: MaxConcurrentTransforms is lowered to {fitting}"
        )
    });
    Ok((payload, fitting, notice))
}

fn in_range(
    member: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, SettingsError> {
    match value {
        Some(found) if !range.contains(&found) => {
            Err(SettingsError::OutOfRange { member, min: *range.start(), max: *range.end(), found })
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair_of(payload_mb: Option<u64>, concurrency: Option<u64>) -> Requested {
        Requested { payload_mb, concurrency, ..Requested::default() }
    }

    fn model(payload_mb: u64, concurrency: u64) -> ExecutionParameters {
        ExecutionParameters {
            max_concurrent_transforms: Some(concurrency),
            batch_strategy: None,
            max_payload_in_mb: Some(payload_mb),
        }
    }

    /// `expected`: payload in MB (0: endless), concurrency, and whether it was lowered.
    #[track_caller]
    fn check(
        payload_mb: Option<u64>,
        concurrency: Option<u64>,
        model: ExecutionParameters,
        expected: (usize, usize, bool),
    ) {
        let resolved = pair_of(payload_mb, concurrency).resolve(model).unwrap();
        let payload = match resolved.settings.payload_limit {
            PayloadLimit::Bytes(bytes) => bytes / MIB,
            PayloadLimit::Endless => 0,
        };
        assert_eq!((payload, resolved.settings.concurrency, resolved.notice.is_some()), expected);
    }

    #[track_caller]
    fn check_refused(requested: Requested, expected: &str) {
        let error = requested.resolve(ExecutionParameters::default()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_request_then_the_model_then_the_defaults() {
        let silent = ExecutionParameters::default();
        check(None, None, silent, (6, 1, false));
        check(None, None, model(8, 4), (8, 4, false));
        check(Some(2), None, model(8, 4), (2, 4, false));
        check(None, Some(3), model(8, 4), (8, 3, false));
        check(Some(0), Some(100), silent, (0, 100, false));
        // 0 says nothing.
        check(Some(1), Some(0), model(8, 4), (1, 4, false));
    }

    #[test]
    fn what_came_from_elsewhere_makes_way() {
        check(Some(50), None, model(6, 16), (50, 2, true));
        check(None, Some(100), ExecutionParameters::default(), (6, 16, true));
        check(Some(100), None, model(6, 2), (100, 1, true));
        check(None, None, model(100, 100), (100, 1, true));
        // A model that says too much is held to what the API can say.
        check(None, None, model(1000, 1), (100, 1, false));
        check(Some(1), None, model(6, 1000), (1, 100, false));
        check(Some(1), None, model(6, 0), (1, 1, false));
    }

    #[test]
    fn what_the_request_says_goes_together_or_is_refused() {
        check(Some(50), Some(2), ExecutionParameters::default(), (50, 2, false));
        check_refused(
            pair_of(Some(50), Some(3)),
            "MaxConcurrentTransforms times MaxPayloadInMB: expected at most 100, found 3 times 50",
        );
        check_refused(pair_of(Some(101), None), "MaxPayloadInMB: expected 0 to 100, found 101");
        check_refused(pair_of(None, Some(101)), "MaxConcurrentTransforms: expected 0 to 100, found 101");
        check_refused(
            Requested { retries: Some(4), ..Requested::default() },
            "InvocationsMaxRetries: expected 0 to 3, found 4",
        );
        check_refused(
            Requested { timeout_seconds: Some(0), ..Requested::default() },
            "InvocationsTimeoutInSeconds: expected 1 to 3600, found 0",
        );
    }

    #[test]
    fn a_payload_is_smaller_than_a_mebibyte_where_the_environment_says_so() {
        let check = |payload_mb, payload_bytes_max, expected| {
            let extensions =
                Extensions { payload_bytes_max: Some(payload_bytes_max), ..Extensions::default() };
            let requested = Requested { payload_mb, extensions, ..Requested::default() };
            let settings = requested.resolve(ExecutionParameters::default()).unwrap().settings;
            assert_eq!(settings.payload_limit, expected);
        };
        check(None, 1000, PayloadLimit::Bytes(1000));
        check(Some(1), 2 * MIB, PayloadLimit::Bytes(MIB));
        check(Some(0), 1000, PayloadLimit::Endless);
    }

    #[test]
    fn a_strategy_without_a_split_type_changes_nothing() {
        let requested = Requested { strategy: Some(BatchStrategy::SingleRecord), ..Requested::default() };
        let settings = requested.resolve(ExecutionParameters::default()).unwrap().settings;
        assert_eq!((settings.split_type, settings.strategy), (SplitType::None, BatchStrategy::SingleRecord));
    }
}
