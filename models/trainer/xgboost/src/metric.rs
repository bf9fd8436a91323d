//! Evaluation metrics: which are permitted, which way is better, and those that the library does not have, computed
//! on margins (class = margin above 0, or the greatest) as SageMaker's container does.

use estimator::{Cluster, Hyperparameters, TrainError};

/// A metric that may be asked for.
struct Known {
    name: &'static str,
    /// Whether greater is better.
    is_maximised: bool,
    /// Whether this program, not the library, computes it.
    is_own: bool,
}

impl Known {
    const fn own(self) -> Self {
        Self { is_own: true, ..self }
    }
}

const fn greater(name: &'static str) -> Known {
    Known { name, is_maximised: true, is_own: false }
}

const fn less(name: &'static str) -> Known {
    Known { name, is_maximised: false, is_own: false }
}

/// All of them, in the order in which they are named to whoever asks for another.
const METRICS: &[Known] = &[
    greater("accuracy").own(),
    greater("auc"),
    greater("aucpr"),
    greater("balanced_accuracy").own(),
    greater("f1").own(),
    greater("f1_binary").own(),
    greater("f1_macro").own(),
    greater("map"),
    greater("ndcg"),
    greater("precision").own(),
    greater("precision_macro").own(),
    greater("precision_micro").own(),
    greater("r2").own(),
    greater("recall").own(),
    greater("recall_macro").own(),
    greater("recall_micro").own(),
    less("aft-nloglik"),
    less("cox-nloglik"),
    less("error"),
    less("gamma-deviance"),
    less("gamma-nloglik"),
    less("interval-regression-accuracy"),
    less("logloss"),
    less("mae"),
    less("mape"),
    less("merror"),
    less("mlogloss"),
    less("mphe"),
    less("mse").own(),
    less("poisson-nloglik"),
    less("rmse"),
    less("rmsle"),
    less("tweedie-nloglik"),
];

/// Own metrics of the positive class, which more than two classes do not have.
const BINARY_ONLY: &[&str] = &["f1_binary", "precision", "recall"];

/// The most classes that are counted. Reason: labels that are no classes (a price, say) must not become a table.
const CLASSES_MAX: usize = 65_536;

/// Library metrics that rank within query groups.
const RANKING: &[&str] = &["ndcg", "map"];

/// The name without its parameter: `error` of `error@0.7`.
fn base(name: &str) -> &str {
    name.split('@').next().unwrap_or(name).trim_end_matches('-')
}

fn known(name: &str) -> Option<&'static Known> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Whether greater is better.
pub(crate) fn is_maximised(name: &str) -> bool {
    known(base(name)).is_some_and(|metric| metric.is_maximised)
}

/// Whether this program, not the library, computes it.
pub(crate) fn is_own(name: &str) -> bool {
    known(name).is_some_and(|metric| metric.is_own)
}

/// Whether `measured`, a name in the library's line, is the metric `asked` for (the library adds default parameters).
pub(crate) fn is_same(measured: &str, asked: &str) -> bool {
    measured == asked || (!asked.contains('@') && base(measured) == asked)
}

/// The metric that a tuner watches, without its channel.
pub(crate) fn tuned(values: &Hyperparameters) -> Option<&str> {
    let name = values.given("_tuning_objective_metric")?;
    Some(name.strip_prefix("validation:").or_else(|| name.strip_prefix("train:")).unwrap_or(name))
}

/// The metrics asked for, in order; the one that a tuner watches is among them.
pub(crate) fn names(values: &Hyperparameters) -> Vec<&str> {
    let listed = values.given("eval_metric").unwrap_or_default();
    let mut names: Vec<&str> = listed.trim_matches(['[', ']']).split(',').map(str::trim).collect();
    names.retain(|name| !name.is_empty());
    if let Some(tuned) = tuned(values).filter(|tuned| !names.contains(tuned)) {
        names.push(tuned);
    }
    names
}

/// Refuses a metric that is not one, or not one of `objective`.
pub(crate) fn check(name: &str, objective: &str) -> Result<(), TrainError> {
    let refused = |expected: &str| {
        Err(TrainError::client(format!("hyperparameter eval_metric: expected {expected}, found {name:?}")))
    };
    let base = base(name);
    if known(base).is_none() {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        return refused(&format!("one of {}", names.join(", ")));
    }
    if name.contains('@') && is_own(base) {
        return refused(&format!("{base} without a parameter"));
    }
    if base == "auc" && !objective.starts_with("binary:") && !objective.starts_with("rank:") {
        return refused(&format!("an objective binary:* or rank:* with auc (the objective is {objective})"));
    }
    if base == "aft-nloglik" && objective != "survival:aft" {
        return refused(&format!("objective survival:aft with aft-nloglik (the objective is {objective})"));
    }
    if RANKING.contains(&base) && !objective.starts_with("rank:") {
        return refused(&format!("an objective rank:* with {base} (the objective is {objective})"));
    }
    if BINARY_ONLY.contains(&base) && objective.starts_with("multi:") {
        return refused(&format!("a metric of several classes, such as {base}_macro"));
    }
    Ok(())
}

/// An own metric over `margins`, as many a row as there are groups, and over the rows of all hosts.
///
/// # Errors
/// When a host is gone.
pub(crate) fn measure(
    name: &str,
    margins: &[f32],
    labels: &[f32],
    cluster: &Cluster,
) -> Result<f64, TrainError> {
    match name {
        "mse" | "r2" => {
            let mut sums = Sums::of(margins, labels);
            cluster.sum(&mut sums.0)?;
            Ok(if name == "mse" { sums.mean_squared_error() } else { sums.determination() })
        }
        _ => {
            let predicted = classes(margins, labels.len());
            let greatest = predicted.iter().copied().chain(labels.iter().map(|label| *label as usize)).max();
            let mut count = [greatest.map_or(0, |class| class + 1).max(2) as f64];
            cluster.max(&mut count)?;
            if count[0] > CLASSES_MAX as f64 {
                return Ok(f64::NAN);
            }
            let mut confusion = Confusion::new(&predicted, labels, count[0] as usize);
            cluster.sum(&mut confusion.counts)?;
            Ok(confusion.measure(name))
        }
    }
}

/// Rows, labels, squared labels and squared errors, summed.
struct Sums([f64; 4]);

impl Sums {
    fn of(margins: &[f32], labels: &[f32]) -> Self {
        let mut sums = [labels.len() as f64, 0.0, 0.0, 0.0];
        for (margin, label) in margins.iter().zip(labels) {
            let (margin, label) = (f64::from(*margin), f64::from(*label));
            sums[1] += label;
            sums[2] += label * label;
            sums[3] += (margin - label).powi(2);
        }
        Self(sums)
    }

    fn mean_squared_error(&self) -> f64 {
        self.0[3] / self.0[0]
    }

    /// The share of the variance that is explained.
    fn determination(&self) -> f64 {
        let [rows, labels, squares, errors] = self.0;
        1.0 - errors / (squares - labels * labels / rows)
    }
}

/// The class of each row.
fn classes(margins: &[f32], rows: usize) -> Vec<usize> {
    let groups = margins.len() / rows.max(1);
    if groups == 1 {
        return margins.iter().map(|margin| usize::from(*margin > 0.0)).collect();
    }
    let greatest = |row: &[f32]| {
        let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
        (0..groups).fold(0, better)
    };
    margins.chunks_exact(groups).map(greatest).collect()
}

/// Counts of one class.
#[derive(Debug, Clone, Copy)]
struct Counts {
    hits: f64,
    predicted: f64,
    actual: f64,
}

impl Counts {
    /// A share whose empty denominator counts as 0.
    fn share(part: f64, whole: f64) -> f64 {
        if whole == 0.0 { 0.0 } else { part / whole }
    }

    fn precision(self) -> f64 {
        Self::share(self.hits, self.predicted)
    }

    fn recall(self) -> f64 {
        Self::share(self.hits, self.actual)
    }

    fn f1(self) -> f64 {
        Self::share(2.0 * self.hits, self.predicted + self.actual)
    }
}

/// Hits, predictions and truths by class.
struct Confusion {
    /// Three for each class, so that hosts can sum them.
    counts: Vec<f64>,
}

impl Confusion {
    fn new(predicted: &[usize], labels: &[f32], classes: usize) -> Self {
        let mut counts = vec![0.0; 3 * classes];
        for (&predicted, label) in predicted.iter().zip(labels) {
            let actual = *label as usize;
            counts[3 * predicted + 1] += 1.0;
            counts[3 * actual + 2] += 1.0;
            counts[3 * actual] += if predicted == actual { 1.0 } else { 0.0 };
        }
        Self { counts }
    }

    fn classes(&self) -> impl Iterator<Item = Counts> {
        let counts = |of: &[f64]| Counts { hits: of[0], predicted: of[1], actual: of[2] };
        self.counts.chunks_exact(3).map(counts)
    }

    fn positive(&self) -> Counts {
        self.classes().nth(1).expect("there are at least two classes")
    }

    /// The mean over the classes that occur as prediction or truth.
    fn macro_mean(&self, of: fn(Counts) -> f64) -> f64 {
        let seen: Vec<Counts> = self.classes().filter(|c| c.predicted + c.actual > 0.0).collect();
        seen.iter().map(|counts| of(*counts)).sum::<f64>() / seen.len() as f64
    }

    /// The share of rows whose class is right, which is also micro-averaged precision, recall and F1.
    fn accuracy(&self) -> f64 {
        let sum = |of: fn(Counts) -> f64| self.classes().map(of).sum::<f64>();
        sum(|counts| counts.hits) / sum(|counts| counts.actual)
    }

    /// The mean recall of the classes that occur as truth.
    fn balanced_accuracy(&self) -> f64 {
        let actual: Vec<Counts> = self.classes().filter(|counts| counts.actual > 0.0).collect();
        actual.iter().map(|counts| counts.recall()).sum::<f64>() / actual.len() as f64
    }

    fn measure(&self, name: &str) -> f64 {
        match name {
            "balanced_accuracy" => self.balanced_accuracy(),
            "f1" | "f1_macro" => self.macro_mean(Counts::f1),
            "f1_binary" => self.positive().f1(),
            "precision" => self.positive().precision(),
            "precision_macro" => self.macro_mean(Counts::precision),
            "recall" => self.positive().recall(),
            "recall_macro" => self.macro_mean(Counts::recall),
            _ => self.accuracy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &str, margins: &[f32], labels: &[f32]) -> f64 {
        super::measure(name, margins, labels, &Cluster::single()).expect("alone")
    }

    #[test]
    fn own_metrics_of_two_classes() {
        // Predicted 1 1 0 0 1, true 1 0 0 1 1: two hits of class 1, one of class 0.
        let check = |name, expected: f64| {
            let found = measure(name, &[2.0, 0.1, -1.0, 0.0, 3.0], &[1.0, 0.0, 0.0, 1.0, 1.0]);
            assert!((found - expected).abs() < 1e-12, "{name}: {found} is not {expected}");
        };
        check("accuracy", 3.0 / 5.0);
        check("precision", 2.0 / 3.0);
        check("recall", 2.0 / 3.0);
        check("f1_binary", 2.0 / 3.0);
        check("balanced_accuracy", f64::midpoint(2.0 / 3.0, 0.5));
        check("f1", f64::midpoint(2.0 / 3.0, 0.5));
        check("precision_macro", f64::midpoint(2.0 / 3.0, 0.5));
        check("recall_micro", 3.0 / 5.0);
    }

    #[test]
    fn own_metrics_of_several_classes_take_the_greatest_margin() {
        let margins = [0.1, 0.9, 0.0, 0.5, 0.4, 0.3, 0.0, 0.1, 0.2];
        assert!((measure("accuracy", &margins, &[1.0, 0.0, 1.0]) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn own_metrics_of_numbers() {
        assert!((measure("mse", &[1.0, 3.0], &[0.0, 1.0]) - 2.5).abs() < 1e-12);
        assert!((measure("r2", &[1.0, 3.0], &[0.0, 1.0]) - (1.0 - 2.5 / 0.25)).abs() < 1e-12);
    }

    #[test]
    fn two_hosts_measure_what_one_does() {
        let (margins, labels) = ([2.0, 0.1, -1.0, 0.0, 3.0], [1.0, 0.0, 0.0, 1.0, 1.0]);
        for name in METRICS.iter().filter(|metric| metric.is_own).map(|metric| metric.name) {
            let at = |cluster: Cluster| {
                let rows = if cluster.is_root() { 0..2 } else { 2..5 };
                super::measure(name, &margins[rows.clone()], &labels[rows], &cluster).expect("both are there")
            };
            let (here, there) = std::thread::scope(|scope| {
                let mut hosts = Cluster::for_tests(2).into_iter();
                let other = hosts.next_back().expect("two hosts");
                let other = scope.spawn(|| at(other));
                (at(hosts.next().expect("two hosts")), other.join().expect("no panic"))
            });
            let alone = measure(name, &margins, &labels);
            assert!(here == there && (here - alone).abs() < 1e-12, "{name}: {here} {there} {alone}");
        }
    }

    #[test]
    fn labels_that_are_no_classes_have_no_accuracy() {
        assert!(measure("accuracy", &[0.5], &[1e9]).is_nan());
    }

    #[test]
    fn names_match_with_and_without_parameters() {
        let check =
            |measured, asked, expected| assert_eq!(is_same(measured, asked), expected, "{measured} {asked}");
        check("rmse", "rmse", true);
        check("tweedie-nloglik@1.5", "tweedie-nloglik", true);
        check("error@0.7", "error@0.7", true);
        check("error", "error@0.7", false);
        check("rmsle", "rmse", false);
    }
}
