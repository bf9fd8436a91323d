//! What SageMaker does not know and a transform can be asked for: in a job's `Environment`, since clients check every member.

use super::{ErrorPolicy, MIB, RESPONSE_BYTES_MAX, SettingsError};

/// What the names of extensions begin with. A name that begins so and is none is refused: it would be a misspelling.
pub const ENVIRONMENT_PREFIX: &str = "CLARY_TRANSFORM_";

/// What SageMaker does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// `CLARY_TRANSFORM_ERROR_POLICY`: `fail`, `placeholder` or `quarantine`.
    pub error_policy: ErrorPolicy,
    /// `CLARY_TRANSFORM_SKIP_BLANK_LINES`: lines with nothing on them are no records.
    pub skip_blank_lines: bool,
    /// `CLARY_TRANSFORM_JSONPATH_SLICE_INCLUSIVE`: `$[1:4]` has what stands at 4.
    pub slice_inclusive: bool,
    /// `CLARY_TRANSFORM_MAX_RESPONSE_MB`: the largest answer of one call.
    pub response_bytes_max: usize,
    /// `CLARY_TRANSFORM_MAX_PAYLOAD_BYTES`: the largest payload where `MaxPayloadInMB` allows a larger one; for models whose
    /// time for a mebibyte of records is too long, and to bound how much one refused call takes with it.
    pub payload_bytes_max: Option<usize>,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            error_policy: ErrorPolicy::Fail,
            skip_blank_lines: false,
            slice_inclusive: false,
            response_bytes_max: RESPONSE_BYTES_MAX,
            payload_bytes_max: None,
        }
    }
}

impl Extensions {
    /// Those in an environment; other names are the model's.
    ///
    /// # Errors
    /// When one has a value that it may not have, or a name of ours is unknown.
    pub fn parse<'a>(
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, SettingsError> {
        let mut extensions = Self::default();
        for (name, value) in environment {
            if let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                extensions.set(rest, value).map_err(|expected| SettingsError::Extension {
                    name: name.to_owned(),
                    expected,
                    found: value.to_owned(),
                })?;
            }
        }
        Ok(extensions)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "ERROR_POLICY" => self.error_policy = error_policy(value)?,
            "SKIP_BLANK_LINES" => self.skip_blank_lines = flag(value)?,
            "JSONPATH_SLICE_INCLUSIVE" => self.slice_inclusive = flag(value)?,
            "MAX_RESPONSE_MB" => self.response_bytes_max = response_bytes_max(value)?,
            "MAX_PAYLOAD_BYTES" => self.payload_bytes_max = Some(payload_bytes_max(value)?),
            _ => {
                return Err("a name that ends in ERROR_POLICY, SKIP_BLANK_LINES, JSONPATH_SLICE_INCLUSIVE, \
                            MAX_RESPONSE_MB or MAX_PAYLOAD_BYTES");
            }
        }
        Ok(())
    }
}

fn error_policy(value: &str) -> Result<ErrorPolicy, &'static str> {
    match value {
        "fail" => Ok(ErrorPolicy::Fail),
        "placeholder" => Ok(ErrorPolicy::Placeholder),
        "quarantine" => Ok(ErrorPolicy::Quarantine),
        _ => Err("fail, placeholder or quarantine"),
    }
}

fn flag(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true or false"),
    }
}

fn response_bytes_max(value: &str) -> Result<usize, &'static str> {
    let megabytes: usize = value.parse().unwrap_or(0);
    if (1..=RESPONSE_BYTES_MAX / MIB).contains(&megabytes) { Ok(megabytes * MIB) } else { Err("1 to 100") }
}

fn payload_bytes_max(value: &str) -> Result<usize, &'static str> {
    value.parse().ok().filter(|bytes| (1..=RESPONSE_BYTES_MAX).contains(bytes)).ok_or("1 to 104857600")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(environment: &[(&str, &str)], expected: Result<Extensions, &str>) {
        let found = Extensions::parse(environment.iter().copied());
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn what_is_asked_for() {
        let none = Extensions::default();
        check(&[], Ok(none));
        check(&[("SAGEMAKER_BATCH", "true")], Ok(none));
        let policy = |error_policy| Ok(Extensions { error_policy, ..none });
        check(&[("CLARY_TRANSFORM_ERROR_POLICY", "fail")], policy(ErrorPolicy::Fail));
        check(&[("CLARY_TRANSFORM_ERROR_POLICY", "placeholder")], policy(ErrorPolicy::Placeholder));
        check(&[("CLARY_TRANSFORM_ERROR_POLICY", "quarantine")], policy(ErrorPolicy::Quarantine));
        let skip_blank_lines = |skip_blank_lines| Ok(Extensions { skip_blank_lines, ..none });
        check(&[("CLARY_TRANSFORM_SKIP_BLANK_LINES", "true")], skip_blank_lines(true));
        check(&[("CLARY_TRANSFORM_SKIP_BLANK_LINES", "0")], skip_blank_lines(false));
        let inclusive = Extensions { slice_inclusive: true, ..none };
        check(&[("CLARY_TRANSFORM_JSONPATH_SLICE_INCLUSIVE", "1")], Ok(inclusive));
        let six = Extensions { response_bytes_max: 6 * MIB, ..none };
        check(&[("CLARY_TRANSFORM_MAX_RESPONSE_MB", "6")], Ok(six));
        let small = Extensions { payload_bytes_max: Some(1000), ..none };
        check(&[("CLARY_TRANSFORM_MAX_PAYLOAD_BYTES", "1000")], Ok(small));
    }

    #[test]
    fn what_is_refused() {
        check(
            &[("CLARY_TRANSFORM_ERROR_POLICY", "skip")],
            Err(
                "Environment CLARY_TRANSFORM_ERROR_POLICY: expected fail, placeholder or quarantine, found \"skip\"",
            ),
        );
        check(
            &[("CLARY_TRANSFORM_SKIP_BLANK_LINES", "yes")],
            Err("Environment CLARY_TRANSFORM_SKIP_BLANK_LINES: expected true or false, found \"yes\""),
        );
        check(
            &[("CLARY_TRANSFORM_MAX_RESPONSE_MB", "101")],
            Err("Environment CLARY_TRANSFORM_MAX_RESPONSE_MB: expected 1 to 100, found \"101\""),
        );
        check(
            &[("CLARY_TRANSFORM_MAX_PAYLOAD_BYTES", "0")],
            Err("Environment CLARY_TRANSFORM_MAX_PAYLOAD_BYTES: expected 1 to 104857600, found \"0\""),
        );
        check(
            &[("CLARY_TRANSFORM_ERROR_POLICIES", "fail")],
            Err("Environment CLARY_TRANSFORM_ERROR_POLICIES: expected a name that ends in ERROR_POLICY, \
                 SKIP_BLANK_LINES, JSONPATH_SLICE_INCLUSIVE, MAX_RESPONSE_MB or MAX_PAYLOAD_BYTES, found \"fail\""),
        );
    }
}
