//! What a series is of: namespace, name, dimensions.

/// Whose values a series holds. Two with different dimensions have nothing to do with each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric {
    /// `AWS/SageMaker` and the like.
    pub namespace: String,
    /// `Invocations` and the like.
    pub name: String,
    /// Names and values, sorted.
    dimensions: Vec<(String, String)>,
}

impl Metric {
    /// A metric of these dimensions, in any order.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        dimensions: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut dimensions: Vec<_> = dimensions.into_iter().collect();
        dimensions.sort_unstable();
        Self { namespace: namespace.into(), name: name.into(), dimensions }
    }

    /// Names and values, sorted.
    pub fn dimensions(&self) -> &[(String, String)] {
        &self.dimensions
    }

    /// The dimensions as one text, the same for the same dimensions.
    pub(crate) fn dimensions_text(&self) -> String {
        serde_json::to_string(&self.dimensions).expect("texts are JSON")
    }

    /// From what is stored.
    pub(crate) fn stored(namespace: String, name: String, dimensions: &str) -> Self {
        // What we wrote ourselves is read again; a file that somebody else edited shows no dimensions.
        let dimensions = serde_json::from_str(dimensions).unwrap_or_default();
        Self { namespace, name, dimensions }
    }
}

/// Which metrics a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricFilter {
    /// Of this namespace.
    pub namespace: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// That have all of these dimensions, of this value where one is given.
    pub dimensions: Vec<(String, Option<String>)>,
}

impl MetricFilter {
    pub(crate) fn shows(&self, metric: &Metric) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == metric.namespace)
            && self.name.as_ref().is_none_or(|name| *name == metric.name)
            && self.dimensions.iter().all(|(name, value)| {
                let has = |(of, is): &(String, String)| {
                    of == name && value.as_ref().is_none_or(|value| value == is)
                };
                metric.dimensions.iter().any(has)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(dimensions: &[(&str, &str)]) -> Metric {
        let owned = dimensions.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Metric::new("N", "m", owned)
    }

    #[test]
    fn the_order_of_dimensions_does_not_matter() {
        let (one, other) = (metric(&[("a", "1"), ("b", "2")]), metric(&[("b", "2"), ("a", "1")]));
        assert_eq!(one, other);
        assert_eq!(Metric::stored("N".into(), "m".into(), &one.dimensions_text()), one);
    }

    #[test]
    fn a_filter_shows_what_has_all_it_names() {
        let shown = metric(&[("a", "1"), ("b", "2")]);
        let check = |dimensions: &[(&str, Option<&str>)], expected| {
            let dimensions =
                dimensions.iter().map(|(name, value)| (name.to_string(), value.map(str::to_owned))).collect();
            assert_eq!(MetricFilter { dimensions, ..Default::default() }.shows(&shown), expected);
        };
        check(&[], true);
        check(&[("a", None)], true);
        check(&[("a", Some("1")), ("b", None)], true);
        check(&[("a", Some("2"))], false);
        check(&[("c", None)], false);
        assert!(!MetricFilter { name: Some("n".into()), ..Default::default() }.shows(&shown));
        assert!(!MetricFilter { namespace: Some("M".into()), ..Default::default() }.shows(&shown));
    }
}
