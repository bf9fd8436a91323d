//! `manifest.json`: what an artifact says of itself, so that serving need not guess.
//!
//! The one idea: every key is optional but `algorithm`, every default is documented here, and a key that is there is
//! either understood or refused by name. Keys that are not known are passed over and reported, so that a newer trainer
//! may add some; a `format_version` above ours is refused, so that a newer meaning is never read as an older one.
//!
//! | key | values | when absent |
//! |---|---|---|
//! | `format_version` | 1 | 1 |
//! | `format` | `<algorithm>/1` | not checked |
//! | `algorithm` | `xgboost`, `linear-learner`, `kmeans`, `pca`, `knn`, `factorization-machines`, `randomcutforest`, `lda` | the one `format` names |
//! | `feature_dim` | a whole number from 1 | the model file's |
//! | `features` | a list of names, `feature_dim` of them | none |
//! | `libsvm_index_base` | 0 or 1 | 0 |
//! | `missing` | `null` or `"nan"` (NaN and empty cells are missing), or a number that also is | NaN for XGBoost, else refused |
//! | `csv_header` | `refuse` (every line is a row), `skip` (the first line is not) | `refuse` |
//! | `narrow_rows` | `refuse`, `missing` (features at a row's end may be left out) | `missing` for XGBoost, else `refuse` |
//! | `warm_up` | rows of numbers and nulls, `feature_dim` each | one row of zeros |
//! | `sha256` | member → hexadecimal digest | not checked |
//! | `hyperparameters`, `best_hyperparameters`, `metrics` | objects, kept as they are | empty |
//! | `created_by` | text | none |
//! | `predictor_type`, `loss`, `threshold`, `num_classes` | linear learner's | see `linear_learner` |
//! | `k` | k-means' number of centroids | the model file's |
//! | others | see `DETAILS` of `pca`, `knn`, `factorization_machines`, `randomcutforest`, `lda` | see there |

mod object;
mod reader;

use std::collections::BTreeMap;

use dmatrix::{CsvHeader, IndexBase, Missing, NarrowRows, RowSchema};
use serde_json::{Map, Value, json};

use crate::LoadError;

/// The member's name.
pub const FILE_NAME: &str = "manifest.json";

/// The version of the manifest's meaning that this crate writes, and the highest it reads.
pub const FORMAT_VERSION: u64 = 1;

/// The most bytes of a manifest. Reason: a million feature names of 16 bytes, and nothing in it is larger.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// The families that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Tree ensembles and linear boosters.
    Xgboost,
    /// Linear and logistic models.
    LinearLearner,
    /// The nearest of k centroids.
    Kmeans,
    /// Projections onto principal components.
    Pca,
    /// The labels of the nearest of many vectors.
    Knn,
    /// Linear models with factorized interactions of pairs.
    FactorizationMachines,
    /// How far a point is from all others.
    RandomCutForest,
    /// Mixtures of topics.
    Lda,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Xgboost,
        Self::LinearLearner,
        Self::Kmeans,
        Self::Pca,
        Self::Knn,
        Self::FactorizationMachines,
        Self::RandomCutForest,
        Self::Lda,
    ];

    /// The name, as in image URIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xgboost => "xgboost",
            Self::LinearLearner => "linear-learner",
            Self::Kmeans => "kmeans",
            Self::Pca => "pca",
            Self::Knn => "knn",
            Self::FactorizationMachines => "factorization-machines",
            Self::RandomCutForest => "randomcutforest",
            Self::Lda => "lda",
        }
    }

    /// The keys that only this family's manifests have and the family reads by itself: [`Manifest::details`].
    fn details(self) -> &'static [&'static str] {
        match self {
            Self::Xgboost | Self::LinearLearner | Self::Kmeans => &[],
            Self::Pca => crate::pca::DETAILS,
            Self::Knn => crate::knn::DETAILS,
            Self::FactorizationMachines => crate::factorization_machines::DETAILS,
            Self::RandomCutForest => crate::randomcutforest::DETAILS,
            Self::Lda => crate::lda::DETAILS,
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether a value may be missing.
    fn takes_missing(self) -> bool {
        self == Self::Xgboost
    }
}

/// What the linear learner predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredictorType {
    /// One of two classes.
    BinaryClassifier,
    /// One of `num_classes` classes.
    MulticlassClassifier,
    /// A number.
    Regressor,
}

impl PredictorType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BinaryClassifier, Self::MulticlassClassifier, Self::Regressor];

    /// The name, as the hyperparameter spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BinaryClassifier => "binary_classifier",
            Self::MulticlassClassifier => "multiclass_classifier",
            Self::Regressor => "regressor",
        }
    }
}

/// What an artifact says of itself; see the module for keys and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Which family reads the model file.
    pub algorithm: Algorithm,
    /// The number of features, when the manifest says.
    pub feature_dim: Option<usize>,
    /// The names of the features, or none.
    pub features: Vec<String>,
    /// Where libsvm indices start.
    pub libsvm_index_base: IndexBase,
    /// What a missing value is.
    pub missing: Missing,
    /// Whether CSV has a header.
    pub csv_header: CsvHeader,
    /// What a row with fewer features means.
    pub narrow_rows: NarrowRows,
    /// Rows to score before the model is published; `None` is a missing value.
    pub warm_up: Vec<Vec<Option<f32>>>,
    /// The digest of other members, by name.
    pub sha256: BTreeMap<String, String>,
    /// How it was trained; shown, never interpreted.
    pub hyperparameters: Map<String, Value>,
    /// What was measured when it was trained; shown, never interpreted.
    pub metrics: Map<String, Value>,
    /// What wrote it.
    pub created_by: Option<String>,
    /// Linear learner: what it predicts.
    pub predictor_type: Option<PredictorType>,
    /// Linear learner: the loss it was trained with.
    pub loss: Option<String>,
    /// Linear learner, binary: a score above it is class 1.
    pub threshold: Option<f64>,
    /// Linear learner: the number of classes.
    pub num_classes: Option<usize>,
    /// K-means: the number of centroids.
    pub k: Option<usize>,
    /// What the family of the other algorithms reads by itself; see there.
    pub details: Map<String, Value>,
}

impl Manifest {
    /// The documented defaults of `algorithm`, which are those of an artifact without a manifest.
    pub fn new(algorithm: Algorithm) -> Self {
        let (missing, narrow_rows) = match algorithm.takes_missing() {
            true => (Missing::Allowed, NarrowRows::FillMissing),
            false => (Missing::Refused, NarrowRows::Refuse),
        };
        Self {
            algorithm,
            feature_dim: None,
            features: Vec::new(),
            libsvm_index_base: IndexBase::Zero,
            missing,
            csv_header: CsvHeader::Absent,
            narrow_rows,
            warm_up: Vec::new(),
            sha256: BTreeMap::new(),
            hyperparameters: Map::new(),
            metrics: Map::new(),
            created_by: None,
            predictor_type: None,
            loss: None,
            threshold: None,
            num_classes: None,
            k: None,
            details: Map::new(),
        }
    }

    /// Reads `manifest.json`. Keys that are not known are passed over, and returned for the report.
    ///
    /// # Errors
    /// When it is not JSON, a key's value is not one the key takes, or two keys contradict each other; the message
    /// names the key, what was expected and what was found.
    pub fn from_json(bytes: &[u8]) -> Result<(Self, Vec<String>), LoadError> {
        reader::read(bytes).map_err(LoadError::Manifest)
    }

    /// Writes `manifest.json`: keys sorted, so the same manifest is the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(&self.to_value()).expect("a JSON value is always writable");
        text.push(b'\n');
        text
    }

    /// The rows that a model of `columns` features takes.
    pub fn row_schema(&self, columns: usize) -> RowSchema {
        RowSchema {
            narrow_rows: self.narrow_rows,
            missing: self.missing,
            csv_header: self.csv_header,
            libsvm_index_base: self.libsvm_index_base,
            ..RowSchema::exactly(columns)
        }
    }

    /// Holds the width the model file has against what the manifest says.
    ///
    /// # Errors
    /// When they differ.
    pub fn check_width(&self, columns: usize) -> Result<(), LoadError> {
        let stated = [
            ("feature_dim", self.feature_dim),
            ("features", (!self.features.is_empty()).then_some(self.features.len())),
            ("warm_up", self.warm_up.first().map(Vec::len)),
        ];
        for (key, width) in stated {
            if width.is_some_and(|width| width != columns) {
                let found = width.unwrap_or_default();
                return Err(LoadError::Manifest(format!(
                    "{key}: expected {columns} features as in the model file, found {found}"
                )));
            }
        }
        Ok(())
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("format", json!(format!("{}/1", self.algorithm.name())));
        put("format_version", json!(FORMAT_VERSION));
        put("algorithm", json!(self.algorithm.name()));
        put("libsvm_index_base", json!(if self.libsvm_index_base == IndexBase::One { 1 } else { 0 }));
        put("csv_header", json!(if self.csv_header == CsvHeader::Skip { "skip" } else { "refuse" }));
        put(
            "narrow_rows",
            json!(if self.narrow_rows == NarrowRows::FillMissing { "missing" } else { "refuse" }),
        );
        match self.missing {
            // Absent says it: the families without missing values have no such key.
            Missing::Refused => None,
            Missing::Allowed => put("missing", Value::Null),
            Missing::Sentinel(value) => put("missing", json!(value)),
        };
        let optional = [
            ("feature_dim", self.feature_dim.map(|width| json!(width))),
            ("features", (!self.features.is_empty()).then(|| json!(self.features))),
            ("warm_up", (!self.warm_up.is_empty()).then(|| json!(self.warm_up))),
            ("sha256", (!self.sha256.is_empty()).then(|| json!(self.sha256))),
            ("hyperparameters", (!self.hyperparameters.is_empty()).then(|| json!(self.hyperparameters))),
            ("metrics", (!self.metrics.is_empty()).then(|| json!(self.metrics))),
            ("created_by", self.created_by.as_ref().map(|name| json!(name))),
            ("predictor_type", self.predictor_type.map(|kind| json!(kind.name()))),
            ("loss", self.loss.as_ref().map(|loss| json!(loss))),
            ("threshold", self.threshold.map(|threshold| json!(threshold))),
            ("num_classes", self.num_classes.map(|classes| json!(classes))),
            ("k", self.k.map(|k| json!(k))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                put(key, value);
            }
        }
        object.extend(self.details.clone());
        Value::Object(object)
    }
}
