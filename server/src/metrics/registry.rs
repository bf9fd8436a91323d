//! The recorder behind the `metrics` facade: which series there are, and their page.
//!
//! A series lives as long as somebody holds a handle of it: the registry's own hold is weak, so the series of a variant
//! leave the page with the variant. That is why a registry is not the process's global recorder: `counter!(…)` lets go
//! of its handle at once, and what it counted would be lost. Whoever counts here keeps its handles; they cost no name
//! and no lock again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};

use super::cells::{CounterCell, GaugeCell};
use super::histogram::HistogramCell;
use super::text::{self, Text};

/// Families of series by name.
#[derive(Debug, Default)]
pub struct Registry {
    families: Mutex<BTreeMap<KeyName, Family>>,
}

/// The series of one name.
#[derive(Debug, Clone)]
struct Family {
    help: SharedString,
    series: Series,
}

/// The first to name a family settles its kind.
#[derive(Debug, Clone)]
enum Series {
    Counters(Cells<CounterCell>),
    Gauges(Cells<GaugeCell>),
    Histograms(Cells<HistogramCell>),
}

/// By their labels as the text format writes them.
#[derive(Debug)]
struct Cells<C>(BTreeMap<Arc<str>, Weak<C>>);

impl Registry {
    /// The Prometheus text format, version 0.0.4: families sorted by name, their series by labels.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        self.render_to(&mut text);
        text.finish()
    }

    /// The same, to a page that goes on.
    pub(super) fn render_to(&self, text: &mut Text) {
        let families = {
            let mut families = self.families();
            families.values_mut().for_each(Family::forget_the_gone);
            // Weak handles: whoever registers waits for a copy of these, not for a page.
            families.clone()
        };
        for (name, family) in &families {
            family.render(name.as_str(), text);
        }
    }

    /// The cell behind a counter, for who reads it too. A new one that is on no page, when the name is of another kind.
    pub(super) fn hold_counter(&self, name: &'static str, labels: &[Label]) -> Arc<CounterCell> {
        let key = Key::from_parts(name, labels.to_vec());
        self.register(&key, Series::Counters(Cells::default()), |series, labels| match series {
            Series::Counters(cells) => cells.hold(labels),
            _ => Arc::default(),
        })
    }

    fn describe(&self, name: KeyName, help: SharedString, series: Series) {
        let mut families = self.families();
        families.entry(name).or_insert_with(|| Family::new(series)).help = help;
    }

    /// What `of` makes of the series of the key's family, which is `series` when there is none yet.
    fn register<H>(&self, key: &Key, series: Series, of: impl FnOnce(&mut Series, Arc<str>) -> H) -> H {
        let labels = text::labels(key.labels());
        let mut families = self.families();
        let family = families.entry(key.name_shared()).or_insert_with(|| Family::new(series));
        of(&mut family.series, labels.into())
    }

    fn families(&self) -> MutexGuard<'_, BTreeMap<KeyName, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(name, help, Series::Counters(Cells::default()));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(name, help, Series::Gauges(Cells::default()));
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(name, help, Series::Histograms(Cells::default()));
    }

    /// A handle that counts nothing when the name is of another kind.
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register(key, Series::Counters(Cells::default()), |series, labels| match series {
            Series::Counters(cells) => Counter::from_arc(cells.hold(labels)),
            _ => Counter::noop(),
        })
    }

    /// A handle that holds nothing when the name is of another kind.
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register(key, Series::Gauges(Cells::default()), |series, labels| match series {
            Series::Gauges(cells) => Gauge::from_arc(cells.hold(labels)),
            _ => Gauge::noop(),
        })
    }

    /// A handle that records nothing when the name is of another kind.
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key, Series::Histograms(Cells::default()), |series, labels| match series {
            Series::Histograms(cells) => Histogram::from_arc(cells.hold(labels)),
            _ => Histogram::noop(),
        })
    }
}

impl Family {
    fn new(series: Series) -> Self {
        Self { help: SharedString::const_str(""), series }
    }

    fn forget_the_gone(&mut self) {
        match &mut self.series {
            Series::Counters(cells) => cells.forget_the_gone(),
            Series::Gauges(cells) => cells.forget_the_gone(),
            Series::Histograms(cells) => cells.forget_the_gone(),
        }
    }

    fn render(&self, name: &str, text: &mut Text) {
        match &self.series {
            Series::Counters(cells) => {
                text.family(name, "counter", &self.help);
                cells.living().for_each(|(labels, cell)| text.sample(name, labels, cell.value()));
            }
            Series::Gauges(cells) => {
                text.family(name, "gauge", &self.help);
                cells.living().for_each(|(labels, cell)| text.sample(name, labels, cell.value()));
            }
            Series::Histograms(cells) => {
                text.family(name, "histogram", &self.help);
                cells.living().for_each(|(labels, cell)| text.histogram(name, labels, &cell.snapshot()));
            }
        }
    }
}

impl<C> Default for Cells<C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<C> Clone for Cells<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Default> Cells<C> {
    /// The cell of these labels, new when nobody holds one.
    fn hold(&mut self, labels: Arc<str>) -> Arc<C> {
        if let Some(cell) = self.0.get(&labels).and_then(Weak::upgrade) {
            return cell;
        }
        // Here too, so that memory is bounded where nobody reads the page.
        self.forget_the_gone();
        let cell = Arc::new(C::default());
        self.0.insert(labels, Arc::downgrade(&cell));
        cell
    }

    fn forget_the_gone(&mut self) {
        self.0.retain(|_, cell| cell.strong_count() > 0);
    }

    fn living(&self) -> impl Iterator<Item = (&str, Arc<C>)> {
        self.0.iter().filter_map(|(labels, cell)| Some((&**labels, cell.upgrade()?)))
    }
}

#[cfg(test)]
mod tests {
    use metrics::Level;

    use super::*;

    const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

    fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
        let labels: Vec<_> = labels.iter().map(|&(name, value)| Label::new(name, value)).collect();
        Key::from_parts(name, labels)
    }

    #[test]
    fn a_page_is_sorted_and_declares_each_family_once() {
        let registry = Registry::default();
        registry.describe_gauge("b".into(), None, "Goes\nup \\ down.".into());
        let gauge = registry.register_gauge(&key("b", &[]), &METADATA);
        let second = registry.register_counter(&key("a_total", &[("to", "y")]), &METADATA);
        let first = registry.register_counter(&key("a_total", &[("to", "x"), ("of", "\"\\\n")]), &METADATA);
        gauge.set(1.5);
        first.increment(2);
        second.increment(3);
        let expected = [
            "# HELP a_total ",
            "# TYPE a_total counter",
            r#"a_total{to="x",of="\"\\\n"} 2"#,
            r#"a_total{to="y"} 3"#,
            r"# HELP b Goes\nup \\ down.",
            "# TYPE b gauge",
            "b 1.5",
        ];
        assert_eq!(registry.render().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn buckets_are_cumulative() {
        let registry = Registry::default();
        let histogram = registry.register_histogram(&key("h", &[("of", "x")]), &METADATA);
        histogram.record(0.002);
        histogram.record(0.25);
        histogram.record(100.0);
        let page = registry.render();
        for line in [
            r#"h_bucket{of="x",le="0.001"} 0"#,
            r#"h_bucket{of="x",le="0.0025"} 1"#,
            r#"h_bucket{of="x",le="0.25"} 2"#,
            r#"h_bucket{of="x",le="60"} 2"#,
            r#"h_bucket{of="x",le="+Inf"} 3"#,
            r#"h_sum{of="x"} 100.252"#,
            r#"h_count{of="x"} 3"#,
        ] {
            assert!(page.lines().any(|found| found == line), "expected {line}, found:\n{page}");
        }
    }

    #[test]
    fn handles_of_one_key_count_together_while_one_is_held() {
        let registry = Registry::default();
        let first = registry.register_counter(&key("a", &[("of", "x")]), &METADATA);
        let second = registry.register_counter(&key("a", &[("of", "x")]), &METADATA);
        first.increment(1);
        drop(first);
        second.increment(1);
        assert!(registry.render().contains("a{of=\"x\"} 2\n"));
        drop(second);
        assert!(!registry.render().contains("of="));
        let third = registry.register_counter(&key("a", &[("of", "x")]), &METADATA);
        assert!(registry.render().contains("a{of=\"x\"} 0\n"));
        drop(third);
    }

    #[test]
    fn what_is_gone_is_forgotten_without_a_page_being_read() {
        let registry = Registry::default();
        for number in 0..100 {
            let labels = vec![Label::new("of", number.to_string())];
            drop(registry.register_histogram(&Key::from_parts("h", labels), &METADATA));
        }
        let families = registry.families();
        let Series::Histograms(cells) = &families["h"].series else { panic!("not histograms: {families:?}") };
        assert_eq!(cells.0.len(), 1);
    }

    #[test]
    fn a_name_keeps_its_first_kind() {
        let registry = Registry::default();
        let counter = registry.register_counter(&key("a", &[]), &METADATA);
        counter.increment(1);
        registry.register_gauge(&key("a", &[]), &METADATA).set(7.0);
        registry.register_histogram(&key("a", &[]), &METADATA).record(7.0);
        assert_eq!(registry.render(), "# HELP a \n# TYPE a counter\na 1\n");
    }
}
