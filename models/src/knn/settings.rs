//! What the manifest says of a k-NN model.

use serde_json::{Map, Value, json};

use crate::LoadError;
use crate::manifest::Manifest;

/// What the labels of the neighbours become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predictor {
    /// The most frequent one.
    Classifier,
    /// Their mean.
    Regressor,
}

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Squared Euclidean distance, the least first.
    L2,
    /// Inner product, the largest first.
    InnerProduct,
    /// Inner product of vectors made to length 1, the largest first.
    Cosine,
}

/// How vectors are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// All of them.
    Flat,
    /// Those of the nearest inverted lists.
    IvfFlat,
    /// The same, their residuals coded.
    IvfPq,
}

const PREDICTORS: &[(&str, Predictor)] =
    &[("classifier", Predictor::Classifier), ("regressor", Predictor::Regressor)];
const METRICS: &[(&str, Metric)] =
    &[("L2", Metric::L2), ("INNER_PRODUCT", Metric::InnerProduct), ("COSINE", Metric::Cosine)];
const KINDS: &[(&str, IndexKind)] = &[
    ("faiss.Flat", IndexKind::Flat),
    ("faiss.IVFFlat", IndexKind::IvfFlat),
    ("faiss.IVFPQ", IndexKind::IvfPq),
];

/// The most neighbours. Reason: a verbose answer shows all, twice; a thousand times the largest k that tuning tries.
const K_MAX: usize = 1 << 20;

impl Predictor {
    /// The one of that name, as the hyperparameter spells it.
    pub fn named(name: &str) -> Option<Self> {
        named(PREDICTORS, name)
    }
}

impl Metric {
    /// The one of that name, as the hyperparameter spells it.
    pub fn named(name: &str) -> Option<Self> {
        named(METRICS, name)
    }

    /// The distance that is told of, of one by which neighbours are ordered.
    pub(super) fn shown(self, distance: f64) -> f32 {
        (if self == Self::L2 { distance } else { -distance }) as f32
    }
}

impl IndexKind {
    /// The one of that name, as the hyperparameter spells it.
    pub fn named(name: &str) -> Option<Self> {
        named(KINDS, name)
    }
}

fn named<T: Copy>(words: &[(&str, T)], name: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == name).map(|(_, meaning)| *meaning)
}

fn name_of<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    words.iter().find(|(_, known)| known == meaning).map_or("", |(word, _)| word)
}

/// How many of `nlist` lists are visited when nobody says.
pub fn default_nprobe(nlist: usize) -> usize {
    nlist.div_ceil(8).max(1)
}

/// What a model predicts, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The number of neighbours.
    pub k: usize,
    /// What their labels become.
    pub predictor: Predictor,
    /// How near vectors are.
    pub metric: Metric,
    /// How they are looked through.
    pub kind: IndexKind,
    /// Inverted lists that are visited.
    pub nprobe: Option<usize>,
}

impl Settings {
    /// Reads the manifest's keys.
    ///
    /// # Errors
    /// When a key is not what it should be.
    pub fn of(manifest: &Manifest) -> Result<Self, LoadError> {
        let keys = &manifest.details;
        let settings = Self {
            k: whole(keys, "k", K_MAX)?.ok_or_else(|| absent("k", "a whole number from 1"))?,
            predictor: word(keys, "predictor_type", PREDICTORS)?
                .ok_or_else(|| absent("predictor_type", "classifier or regressor"))?,
            metric: word(keys, "metric", METRICS)?.unwrap_or(Metric::L2),
            kind: word(keys, "index", KINDS)?.unwrap_or(IndexKind::Flat),
            nprobe: whole(keys, "nprobe", usize::MAX)?,
        };
        if settings.kind == IndexKind::IvfPq && settings.metric != Metric::L2 {
            return Err(LoadError::Manifest(format!(
                "metric: expected L2 for faiss.IVFPQ, found {}",
                name_of(METRICS, &settings.metric)
            )));
        }
        match keys.get("normalize") {
            None => Ok(settings),
            Some(value) if *value == json!(settings.metric == Metric::Cosine) => Ok(settings),
            Some(other) => Err(LoadError::Manifest(format!(
                "normalize: expected {} as metric says, found {other}",
                settings.metric == Metric::Cosine
            ))),
        }
    }

    /// The manifest's keys that say the same.
    pub fn to_details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        let mut put = |key: &str, value: Value| details.insert(key.to_owned(), value);
        put("k", json!(self.k));
        put("predictor_type", json!(name_of(PREDICTORS, &self.predictor)));
        put("metric", json!(name_of(METRICS, &self.metric)));
        put("index", json!(name_of(KINDS, &self.kind)));
        put("normalize", json!(self.metric == Metric::Cosine));
        put("version", json!("1.0"));
        if let Some(nprobe) = self.nprobe {
            put("nprobe", json!(nprobe));
        }
        details
    }
}

/// The text at `dimension_reduction.type`.
pub(super) fn reduction_type(manifest: &Manifest) -> Result<Option<&str>, LoadError> {
    match manifest.details.get("dimension_reduction") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.get("type").and_then(Value::as_str) {
            Some(name @ ("sign" | "fjlt")) => Ok(Some(name)),
            _ => Err(mismatch("dimension_reduction", "an object whose type is sign or fjlt", value)),
        },
    }
}

fn absent(key: &str, expected: &str) -> LoadError {
    LoadError::Manifest(format!("{key}: expected {expected}, found no such key"))
}

fn mismatch(key: &str, expected: &str, found: &Value) -> LoadError {
    let found: String = found.to_string().chars().take(80).collect();
    LoadError::Manifest(format!("{key}: expected {expected}, found {found}"))
}

fn whole(keys: &Map<String, Value>, key: &str, most: usize) -> Result<Option<usize>, LoadError> {
    let Some(value) = keys.get(key) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    match number.filter(|number| (1..=most).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(mismatch(key, &format!("a whole number from 1 to {most}"), value)),
    }
}

fn word<T: Copy>(keys: &Map<String, Value>, key: &str, words: &[(&str, T)]) -> Result<Option<T>, LoadError> {
    let Some(value) = keys.get(key) else { return Ok(None) };
    let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let known = value.as_str().and_then(|text| named(words, text));
    known.map(Some).ok_or_else(|| mismatch(key, &format!("one of {}", list.join(", ")), value))
}
