//! Statistics by CloudWatch's names.

use crate::Aggregate;

/// What is asked of the values of a period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// How many.
    SampleCount,
    /// The mean.
    Average,
    /// All together.
    Sum,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
    /// The value below which so many of a hundred lie.
    Percentile(f64),
}

impl Statistic {
    /// By its name: `Average`, `p99.9` …
    ///
    /// # Errors
    /// Says what is served, when it is another.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "SampleCount" => Ok(Self::SampleCount),
            "Average" => Ok(Self::Average),
            "Sum" => Ok(Self::Sum),
            "Minimum" => Ok(Self::Minimum),
            "Maximum" => Ok(Self::Maximum),
            _ => percentile(name).map(Self::Percentile).ok_or_else(|| {
                format!(
                    "expected SampleCount, Average, Sum, Minimum, Maximum or p0 to p100, found {name:?} \
                     (trimmed and winsorized statistics are not served)"
                )
            }),
        }
    }

    /// Of these values; `None` where they do not tell.
    pub fn of(self, aggregate: &Aggregate) -> Option<f64> {
        if aggregate.count <= 0.0 {
            return None;
        }
        match self {
            Self::SampleCount => Some(aggregate.count),
            Self::Average => aggregate.average(),
            Self::Sum => Some(aggregate.sum),
            Self::Minimum => Some(aggregate.min),
            Self::Maximum => Some(aggregate.max),
            Self::Percentile(percent) => aggregate.percentile(percent),
        }
    }
}

/// `p` and up to ten decimals, of 0 to 100.
fn percentile(name: &str) -> Option<f64> {
    let digits = name.strip_prefix('p')?;
    let is_plain = digits.len() <= 14 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent = digits.parse().ok().filter(|_| is_plain)?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<f64>) {
        let mut aggregate = Aggregate::default();
        [1.0, 2.0, 3.0, 10.0].into_iter().for_each(|value| aggregate.record(value));
        let found = Statistic::parse(name).ok().and_then(|statistic| statistic.of(&aggregate));
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() <= expected / 100.0, "{name}: {found}");
            }
            (found, expected) => assert_eq!(found, expected, "{name}"),
        }
    }

    #[test]
    fn each_name_has_its_statistic() {
        check("SampleCount", Some(4.0));
        check("Average", Some(4.0));
        check("Sum", Some(16.0));
        check("Minimum", Some(1.0));
        check("Maximum", Some(10.0));
        check("p50", Some(2.0));
        check("p99.9", Some(10.0));
        check("p0", Some(1.0));
        for wrong in ["p", "p101", "p-1", "pNaN", "p1e1", "tm99", "tc90", "TM(10%:90%)", "IQM", "average", ""]
        {
            check(wrong, None);
        }
        assert!(Statistic::parse("tm99").unwrap_err().contains("not served"));
    }

    #[test]
    fn nothing_has_no_statistic() {
        assert_eq!(Statistic::Sum.of(&Aggregate::default()), None);
    }
}
