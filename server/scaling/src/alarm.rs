//! Alarms: M of the last N periods beyond a threshold, with CloudWatch's rules for periods that have no data.
//!
//! An alarm looks at two periods more than it needs. When enough of them have data, the newest N that do decide, and
//! what to do about the others does not matter; only when there are too few does [`TreatMissingData`] fill in.

use serde::{Deserialize, Serialize};
use wire::Timestamp;

/// Periods that are looked at beyond N, in case some are empty. Reason: CloudWatch's published examples look at five
/// when three are needed.
const SPARE_PERIODS: usize = 2;

/// `ComparisonOperator`: which side of the threshold is breaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// At or above.
    GreaterThanOrEqualToThreshold,
    /// Above.
    GreaterThanThreshold,
    /// Below.
    LessThanThreshold,
    /// At or below.
    LessThanOrEqualToThreshold,
}

impl Comparison {
    /// Whether `value` is on the breaching side.
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::GreaterThanThreshold => value > threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// As a reason says it.
    const fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Self::GreaterThanThreshold => "greater than",
            Self::LessThanThreshold => "less than",
            Self::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// What a period without data counts as, when there are too few with data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TreatMissingData {
    /// Beyond the threshold.
    Breaching,
    /// Within it.
    NotBreaching,
    /// The state stays as it is.
    Ignore,
    /// No data at all is [`AlarmState::InsufficientData`].
    #[default]
    Missing,
}

/// `StateValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AlarmState {
    /// Within the threshold.
    #[serde(rename = "OK")]
    Ok,
    /// Beyond it.
    #[serde(rename = "ALARM")]
    Alarm,
    /// Nobody knows.
    #[default]
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl AlarmState {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// When an alarm goes off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmRule {
    /// Which side is breaching.
    pub comparison: Comparison,
    /// What values are compared with.
    pub threshold: f64,
    /// The length of a period.
    pub period_seconds: u32,
    /// N: how many periods are looked at.
    pub evaluation_periods: u32,
    /// M: how many of them must be breaching.
    pub datapoints_to_alarm: u32,
    /// What empty periods count as.
    pub treat_missing_data: TreatMissingData,
}

/// What an alarm came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Its state now.
    pub state: AlarmState,
    /// The values that it was decided by, oldest first.
    pub datapoints: Vec<f64>,
    /// How many of them were breaching.
    pub breaching: usize,
    /// Periods without data that were filled in.
    pub filled: usize,
}

impl AlarmRule {
    /// The whole periods that an evaluation at `now` looks at: what to ask a series for.
    pub fn window(&self, now: Timestamp) -> Window {
        Window::ending(now, self.period_seconds, self.evaluation_periods as usize + SPARE_PERIODS)
    }

    /// The state by `points`, one for each period of [`window`](Self::window), oldest first; `current` is the state
    /// until now.
    pub fn evaluate(&self, points: &[Option<f64>], current: AlarmState) -> Evaluation {
        let needed = (self.evaluation_periods as usize).max(1);
        let range = &points[points.len().saturating_sub(needed + SPARE_PERIODS)..];
        let real: Vec<f64> = range.iter().flatten().copied().collect();
        let datapoints = real[real.len().saturating_sub(needed)..].to_vec();
        let breaching = datapoints.iter().filter(|value| self.breaches(**value)).count();
        let filled = needed - datapoints.len();
        let state = if filled == 0 || breaching >= self.datapoints_to_alarm() {
            self.state_of(breaching)
        } else {
            self.fill_in(range, breaching, filled, current)
        };
        Evaluation { state, datapoints, breaching, filled }
    }

    /// Why the state is what it is, in CloudWatch's words.
    pub fn reason(&self, evaluation: &Evaluation) -> String {
        let Evaluation { datapoints, breaching, state, .. } = evaluation;
        let (count, threshold) = (datapoints.len(), self.threshold);
        if count == 0 {
            return format!("no datapoints were received for {} periods", self.evaluation_periods);
        }
        let words = self.comparison.words();
        let head = if *state == AlarmState::Alarm { "Threshold Crossed: " } else { "" };
        format!(
            "{head}{breaching} out of the last {count} datapoints {datapoints:?} were {words} the threshold ({threshold:?})"
        )
    }

    fn breaches(&self, value: f64) -> bool {
        self.comparison.breaches(value, self.threshold)
    }

    fn datapoints_to_alarm(&self) -> usize {
        (self.datapoints_to_alarm as usize).max(1)
    }

    fn state_of(&self, breaching: usize) -> AlarmState {
        if breaching >= self.datapoints_to_alarm() { AlarmState::Alarm } else { AlarmState::Ok }
    }

    /// The state when fewer than N periods have data, and too few of those are breaching.
    fn fill_in(
        &self,
        range: &[Option<f64>],
        breaching: usize,
        filled: usize,
        current: AlarmState,
    ) -> AlarmState {
        // The age, in periods, of the oldest value: a breach that is old enough decides, unless a later value is within.
        let age = range.iter().position(Option::is_some).map(|at| range.len() - at);
        let has_good = range.iter().flatten().any(|value| !self.breaches(*value));
        match (self.treat_missing_data, age) {
            (TreatMissingData::Breaching, _) => self.state_of(breaching + filled),
            (TreatMissingData::NotBreaching, _) => AlarmState::Ok,
            (TreatMissingData::Missing, None) => AlarmState::InsufficientData,
            (_, Some(_)) if has_good => AlarmState::Ok,
            (TreatMissingData::Missing, Some(age)) if age >= self.datapoints_to_alarm() => AlarmState::Alarm,
            (TreatMissingData::Missing | TreatMissingData::Ignore, _) => current,
        }
    }
}

/// A run of whole periods, aligned to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where the oldest period begins.
    pub start: Timestamp,
    /// Where the newest ends (exclusive): at or before the moment that was asked about.
    pub end: Timestamp,
    /// The length of a period.
    pub period_seconds: u32,
}

impl Window {
    /// The last `count` whole periods at `now`.
    pub fn ending(now: Timestamp, period_seconds: u32, count: usize) -> Self {
        let period_ms = i64::from(period_seconds.max(1)) * 1000;
        let end = now.0 - now.0.rem_euclid(period_ms);
        let length = period_ms.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        let start = Timestamp(end.saturating_sub(length));
        Self { start, end: Timestamp(end), period_seconds: period_seconds.max(1) }
    }

    /// How many periods it has.
    pub fn count(&self) -> usize {
        let length_ms = self.end.0.saturating_sub(self.start.0);
        usize::try_from(length_ms / (i64::from(self.period_seconds) * 1000)).unwrap_or(0)
    }

    /// One place for each period, oldest first, filled by `values` (the beginning of a period, or any moment in it, with
    /// its value; the last of a period wins). What lies outside is left out.
    pub fn points(&self, values: impl IntoIterator<Item = (Timestamp, f64)>) -> Vec<Option<f64>> {
        let mut points = vec![None; self.count()];
        for (moment, value) in values {
            let offset = (moment.0 - self.start.0).div_euclid(i64::from(self.period_seconds) * 1000);
            if let Some(point) = usize::try_from(offset).ok().and_then(|at| points.get_mut(at)) {
                *point = Some(value);
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(m: u32, n: u32, treat_missing_data: TreatMissingData) -> AlarmRule {
        AlarmRule {
            comparison: Comparison::GreaterThanThreshold,
            threshold: 0.5,
            period_seconds: 60,
            evaluation_periods: n,
            datapoints_to_alarm: m,
            treat_missing_data,
        }
    }

    fn parse(points: &str) -> Vec<Option<f64>> {
        let point = |word| match word {
            "0" => Some(0.0),
            "X" => Some(1.0),
            _ => None,
        };
        points.split_whitespace().map(point).collect()
    }

    /// `expected` for each treatment, as in CloudWatch's tables: missing, ignore, breaching, not breaching; `=` keeps
    /// the state.
    fn check((m, n): (u32, u32), points: &str, expected: [&str; 4]) {
        use TreatMissingData::{Breaching, Ignore, Missing, NotBreaching};
        for (treatment, expected) in [Missing, Ignore, Breaching, NotBreaching].into_iter().zip(expected) {
            for current in [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData] {
                let found = rule(m, n, treatment).evaluate(&parse(points), current).state;
                let expected = if expected == "=" { current.as_str() } else { expected };
                assert_eq!(found.as_str(), expected, "{m} of {n}, {points}, {treatment:?}, {current:?}");
            }
        }
    }

    #[test]
    fn three_of_three_follows_the_published_table() {
        check((3, 3), "0 - X - X", ["OK"; 4]);
        check((3, 3), "0 - - - -", ["OK"; 4]);
        check((3, 3), "- - - - -", ["INSUFFICIENT_DATA", "=", "ALARM", "OK"]);
        check((3, 3), "0 X X - X", ["ALARM"; 4]);
        check((3, 3), "- - X - -", ["ALARM", "=", "ALARM", "OK"]);
    }

    #[test]
    fn two_of_three_follows_the_published_table() {
        check((2, 3), "0 - X - X", ["ALARM"; 4]);
        check((2, 3), "0 0 X 0 X", ["ALARM"; 4]);
        check((2, 3), "0 - X - -", ["OK", "OK", "ALARM", "OK"]);
        check((2, 3), "- - - - 0", ["OK", "OK", "ALARM", "OK"]);
        check((2, 3), "- - - X -", ["ALARM", "=", "ALARM", "OK"]);
    }

    #[test]
    fn a_young_breach_waits_for_the_next_value() {
        check((3, 3), "- - - - X", ["=", "=", "ALARM", "OK"]);
        check((3, 3), "- - - X -", ["=", "=", "ALARM", "OK"]);
        check((3, 3), "- - X - 0", ["OK"; 4]);
        check((1, 1), "- - X", ["ALARM"; 4]);
        check((1, 1), "- - -", ["INSUFFICIENT_DATA", "=", "ALARM", "OK"]);
        check((2, 5), "- - - - - X X", ["ALARM"; 4]);
    }

    #[test]
    fn only_the_newest_values_count() {
        check((3, 3), "X X 0 0 0", ["OK"; 4]);
        check((3, 3), "X X X X X X 0 X X", ["OK"; 4]);
        check((3, 3), "0 0 0 0 0 0 X X X", ["ALARM"; 4]);
        check((3, 3), "", ["INSUFFICIENT_DATA", "=", "ALARM", "OK"]);
    }

    #[test]
    fn each_comparison_knows_its_side() {
        use Comparison::*;
        for (comparison, below, at, above) in [
            (GreaterThanOrEqualToThreshold, false, true, true),
            (GreaterThanThreshold, false, false, true),
            (LessThanThreshold, true, false, false),
            (LessThanOrEqualToThreshold, true, true, false),
        ] {
            let found = [1.0, 2.0, 3.0].map(|value| comparison.breaches(value, 2.0));
            assert_eq!(found, [below, at, above], "{comparison:?}");
            assert!(!comparison.breaches(f64::NAN, 2.0));
        }
    }

    #[test]
    fn windows_are_whole_aligned_periods() {
        let window = rule(3, 3, TreatMissingData::Missing).window(Timestamp(600_000 + 59_999));
        assert_eq!((window.start, window.end, window.count()), (Timestamp(300_000), Timestamp(600_000), 5));
        let values = [(299_999, 9.0), (300_000, 1.0), (359_999, 2.0), (480_000, 3.0), (600_000, 9.0)];
        let points = window.points(values.map(|(at, value)| (Timestamp(at), value)));
        assert_eq!(points, [Some(2.0), None, None, Some(3.0), None]);
    }

    #[test]
    fn reasons_say_what_was_found() {
        let rule = rule(2, 3, TreatMissingData::Missing);
        let reason = |points| rule.reason(&rule.evaluate(&parse(points), AlarmState::Ok));
        let crossed = "Threshold Crossed: 2 out of the last 3 datapoints [0.0, 1.0, 1.0] were greater than the threshold (0.5)";
        assert_eq!(reason("0 X X"), crossed);
        assert_eq!(reason("- -"), "no datapoints were received for 3 periods");
    }
}
