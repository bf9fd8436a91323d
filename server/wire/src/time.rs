//! Time on the wire: milliseconds since 1970, written as each protocol writes it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A moment, in milliseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system's clock now. Pure code takes a moment as a parameter instead.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    /// From a number of seconds, as JSON requests have it.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e3).round() as i64)
    }

    /// From ISO 8601 or a number of seconds, as Query requests have it.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<f64>() {
            return seconds.is_finite().then(|| Self::from_seconds(seconds));
        }
        let moment: jiff::Timestamp = text.parse().ok()?;
        Some(Self(moment.as_millisecond()))
    }

    /// Seconds with a fraction, as JSON 1.1 answers have it.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// The JSON 1.1 form.
    pub fn to_json(self) -> Value {
        if self.0 % 1000 == 0 { Value::from(self.0 / 1000) } else { Value::from(self.seconds()) }
    }

    /// ISO 8601 in UTC with seconds, as Query answers and events have it.
    pub fn iso8601(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    /// ISO 8601 in UTC with milliseconds, as S3 answers have it.
    pub fn iso8601_millis(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S.%3fZ")
    }

    /// By a `strftime` pattern, in UTC.
    pub fn format(self, pattern: &str) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        moment.strftime(pattern).to_string()
    }

    /// This many milliseconds later (earlier, when negative).
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_form() {
        let moment = Timestamp(1_704_164_645_678);
        assert_eq!(moment.iso8601(), "2024-01-02T03:04:05Z");
        assert_eq!(moment.iso8601_millis(), "2024-01-02T03:04:05.678Z");
        assert_eq!(moment.to_json(), Value::from(1_704_164_645.678));
        assert_eq!(Timestamp(5000).to_json().to_string(), "5");
        assert_eq!(Timestamp::from_seconds(1_704_164_645.678), moment);
        for text in ["2024-01-02T03:04:05.678Z", "1704164645.678", "2024-01-02T05:04:05.678+02:00"] {
            assert_eq!(Timestamp::parse(text), Some(moment), "{text}");
        }
        for wrong in ["", "2024-01-02", "now", "NaN", "inf"] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
    }
}
