//! The hyperparameters and channels of knn, as SageMaker's documentation has them, and `faiss_index_nprobe` of our own.

use codecs::Format;
use estimator::{ChannelRule, Hyperparameter, Hyperparameters, Interval, Job, Kind, Labels, TrainError};
use models::knn::{IndexKind, Metric, Predictor, Settings as ModelSettings};

const SUBVECTORS: &[&str] =
    &["1", "2", "3", "4", "8", "12", "16", "20", "24", "28", "32", "40", "48", "56", "64", "96"];

pub(crate) const TABLE: &[Hyperparameter] = &[
    Hyperparameter::new("feature_dim", Kind::Integer(Interval::closed(1.0, (1 << 30) as f64))).required(),
    Hyperparameter::new("k", Kind::Integer(Interval::closed(1.0, (1 << 20) as f64))).required(),
    Hyperparameter::new("predictor_type", Kind::Choice(&["classifier", "regressor"])).required(),
    Hyperparameter::new("sample_size", Kind::Integer(Interval::closed(1.0, u32::MAX as f64))).required(),
    Hyperparameter::new("dimension_reduction_type", Kind::Choice(&["sign", "fjlt"])),
    Hyperparameter::new("dimension_reduction_target", Kind::COUNT),
    Hyperparameter::new("index_type", Kind::Choice(&["faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"]))
        .or("faiss.Flat"),
    Hyperparameter::new("index_metric", Kind::Choice(&["L2", "INNER_PRODUCT", "COSINE"])).or("L2"),
    Hyperparameter::new("faiss_index_ivf_nlists", Kind::IntegerOrAuto(Interval::at_least(1.0))).or("auto"),
    Hyperparameter::new("faiss_index_pq_m", Kind::Choice(SUBVECTORS)),
    Hyperparameter::new("faiss_index_nprobe", Kind::COUNT),
    Hyperparameter::MINI_BATCH_SIZE.or("5000"),
    Hyperparameter::EPOCHS.or("1"),
    Hyperparameter::SEED,
];

pub(crate) const CHANNELS: &[ChannelRule] = &[channel("train").required(), channel("test")];

const fn channel(name: &'static str) -> ChannelRule {
    ChannelRule::new(name, Labels::Required, &[Format::RecordIo, Format::Csv]).by_pipe()
}

/// Which reduction, and to how many dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReductionSettings {
    pub(crate) is_sign: bool,
    pub(crate) target: usize,
}

/// The table's values, as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) values: Hyperparameters,
    pub(crate) model: ModelSettings,
    pub(crate) columns: usize,
    pub(crate) sample_size: usize,
    pub(crate) reduction: Option<ReductionSettings>,
    /// Inverted lists, when somebody says.
    pub(crate) nlist: Option<usize>,
    /// Sub-vectors; only with product quantization.
    pub(crate) m: Option<usize>,
    pub(crate) batch_rows: usize,
    pub(crate) seed: u64,
}

impl Settings {
    /// Checks the job's hyperparameters.
    pub(crate) fn of(job: &Job) -> Result<Self, TrainError> {
        let values = Hyperparameters::resolve(TABLE, &job.hyperparameters)?;
        let model = ModelSettings {
            k: values.count("k"),
            predictor: Predictor::named(values.word("predictor_type")).expect("the table has the same words"),
            metric: Metric::named(values.word("index_metric")).expect("the table has the same words"),
            kind: IndexKind::named(values.word("index_type")).expect("the table has the same words"),
            nprobe: values.whole("faiss_index_nprobe"),
        };
        let m = coded(&values, &model)?;
        let columns = values.count("feature_dim");
        Ok(Self {
            reduction: reduction(&values, columns, m)?,
            columns,
            sample_size: values.count("sample_size"),
            nlist: values.whole("faiss_index_ivf_nlists"),
            m,
            batch_rows: values.count("mini_batch_size"),
            seed: values.count("seed") as u64,
            model,
            values,
        })
    }
}

/// The sub-vectors of product quantization, which goes with L2 only.
fn coded(values: &Hyperparameters, model: &ModelSettings) -> Result<Option<usize>, TrainError> {
    let m = values.whole("faiss_index_pq_m");
    match (model.kind, m) {
        (IndexKind::IvfPq, None) => Err(TrainError::client(format!(
            "hyperparameter faiss_index_pq_m: expected one of {} for faiss.IVFPQ, found none",
            SUBVECTORS.join(", ")
        ))),
        (IndexKind::IvfPq, _) if model.metric != Metric::L2 => Err(TrainError::client(format!(
            "hyperparameter index_metric: expected L2 for faiss.IVFPQ, found {:?}",
            values.word("index_metric")
        ))),
        (IndexKind::IvfPq, m) => Ok(m),
        (_, None) => Ok(None),
        (_, Some(_)) => Err(TrainError::client(format!(
            "hyperparameter faiss_index_pq_m: expected index_type faiss.IVFPQ, found {:?}",
            values.word("index_type")
        ))),
    }
}

fn reduction(
    values: &Hyperparameters,
    columns: usize,
    m: Option<usize>,
) -> Result<Option<ReductionSettings>, TrainError> {
    let target = values.whole("dimension_reduction_target");
    match (values.given("dimension_reduction_type"), target) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(TrainError::client(
            "hyperparameter dimension_reduction_target: expected dimension_reduction_type beside it, found none",
        )),
        (Some(_), Some(target)) if target < columns => {
            // Sub-vectors divide the target; one that cannot be raised is filled with zeros.
            let raised = target.next_multiple_of(m.unwrap_or(1));
            let target = if raised < columns { raised } else { target };
            Ok(Some(ReductionSettings { is_sign: values.word("dimension_reduction_type") == "sign", target }))
        }
        (Some(_), found) => {
            let found = found.map_or("none".to_owned(), |target| target.to_string());
            Err(TrainError::client(format!(
                "hyperparameter dimension_reduction_target: expected a whole number above 0 and below feature_dim \
                 {columns}, found {found}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let common =
            [("feature_dim", "20"), ("k", "5"), ("predictor_type", "classifier"), ("sample_size", "100")];
        let job = Job::for_tests(&[&common[..], given].concat(), &[]);
        Settings::of(&job).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_is_raised_to_what_the_sub_vectors_divide() {
        let check = |target: &str, m: &str, expected: usize| {
            let given = [
                ("dimension_reduction_type", "sign"),
                ("dimension_reduction_target", target),
                ("index_type", "faiss.IVFPQ"),
                ("faiss_index_pq_m", m),
            ];
            assert_eq!(settings(&given).expect("sound").reduction.expect("one").target, expected);
        };
        check("8", "8", 8);
        check("9", "8", 16);
        check("17", "8", 17);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let check = |given: &[(&str, &str)], expected: &str| {
            let error = settings(given).expect_err("outside");
            assert!(error.contains(expected), "{error}");
        };
        check(&[("index_type", "faiss.IVFPQ")], "faiss_index_pq_m: expected one of 1, 2, 3");
        check(&[("faiss_index_pq_m", "4")], "expected index_type faiss.IVFPQ");
        let coded = [("index_type", "faiss.IVFPQ"), ("faiss_index_pq_m", "4")];
        check(&[&coded[..], &[("index_metric", "COSINE")]].concat(), "expected L2 for faiss.IVFPQ");
        check(&[("faiss_index_pq_m", "5")], "faiss_index_pq_m: expected one of");
        check(&[("dimension_reduction_target", "4")], "dimension_reduction_type");
        check(&[("dimension_reduction_type", "fjlt")], "below feature_dim 20, found none");
        let whole = [("dimension_reduction_type", "fjlt"), ("dimension_reduction_target", "20")];
        check(&whole, "below feature_dim 20, found 20");
        check(&[("sample_size", "0")], "sample_size");
    }
}
