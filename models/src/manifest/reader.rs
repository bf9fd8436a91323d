//! From JSON to [`Manifest`], key by key.

use std::collections::BTreeMap;

use dmatrix::{CsvHeader, IndexBase, Missing, NarrowRows};
use serde_json::Value;

use super::object::{Object, mismatch};
use super::{Algorithm, FORMAT_VERSION, MANIFEST_BYTES_MAX, Manifest, PredictorType};

/// The most features a manifest may claim. Reason: indices are u32, and no row of more fits a request.
const FEATURES_MAX: usize = 1 << 28;

/// The most warm-up rows. Reason: they are scored one after the other before a model is published.
const WARM_UP_ROWS_MAX: usize = 10_000;

/// Reads a manifest and the keys that are not known.
pub(super) fn read(bytes: &[u8]) -> Result<(Manifest, Vec<String>), String> {
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(format!("expected at most {MANIFEST_BYTES_MAX} bytes, found {}", bytes.len()));
    }
    #[expect(clippy::disallowed_methods, reason = "capped just above; serde_json caps the depth at 128")]
    let mut object: Object = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut manifest = Manifest::new(algorithm(&mut object)?);
    rows(&mut object, &mut manifest)?;
    provenance(&mut object, &mut manifest)?;
    family(&mut object, &mut manifest)?;
    check_agreement(&manifest)?;
    Ok((manifest, object.left()))
}

/// `format_version`, `format` and `algorithm`.
fn algorithm(object: &mut Object) -> Result<Algorithm, String> {
    if let Some(version) = object.take("format_version")
        && version.as_u64().is_none_or(|version| version == 0 || version > FORMAT_VERSION)
    {
        let expected = format!("a whole number from 1 to {FORMAT_VERSION}, the highest this program reads");
        return Err(mismatch("format_version", &expected, &version));
    }
    let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let named = object.word("algorithm", &names)?;
    let format = object.take("format");
    let formatted = match &format {
        None => None,
        Some(value) => {
            let name = value.as_str().and_then(|text| text.strip_suffix("/1"));
            let expected = "\"ALGORITHM/1\" with an algorithm that is served";
            Some(name.and_then(Algorithm::from_name).ok_or_else(|| mismatch("format", expected, value))?)
        }
    };
    match (named, formatted, format) {
        (Some(named), Some(formatted), Some(format)) if named != formatted => {
            Err(mismatch("format", &format!("\"{}/1\" as algorithm says", named.name()), &format))
        }
        (Some(algorithm), _, _) | (None, Some(algorithm), _) => Ok(algorithm),
        (None, None, _) => {
            let list = Algorithm::ALL.map(|algorithm| format!("{:?}", algorithm.name()));
            Err(format!("algorithm: expected {}, found no such key", list.join(" or ")))
        }
    }
}

/// What decoders may not guess.
fn rows(object: &mut Object, manifest: &mut Manifest) -> Result<(), String> {
    manifest.feature_dim = object.whole("feature_dim", 1)?;
    if let Some(width) = manifest.feature_dim.filter(|&width| width > FEATURES_MAX) {
        return Err(format!("feature_dim: expected at most {FEATURES_MAX}, found {width}"));
    }
    for (index, name) in object.list("features")?.into_iter().enumerate() {
        match name {
            Value::String(name) => manifest.features.push(name),
            other => return Err(mismatch(&format!("features[{index}]"), "text", &other)),
        }
    }
    if let Some(value) = object.take("libsvm_index_base") {
        manifest.libsvm_index_base = match value.as_u64() {
            Some(0) => IndexBase::Zero,
            Some(1) => IndexBase::One,
            _ => return Err(mismatch("libsvm_index_base", "0 or 1", &value)),
        };
    }
    let headers = [("refuse", CsvHeader::Absent), ("skip", CsvHeader::Skip)];
    if let Some(header) = object.word("csv_header", &headers)? {
        manifest.csv_header = header;
    }
    let narrow = [("refuse", NarrowRows::Refuse), ("missing", NarrowRows::FillMissing)];
    if let Some(narrow) = object.word("narrow_rows", &narrow)? {
        manifest.narrow_rows = narrow;
    }
    if let Some(value) = object.take("missing") {
        manifest.missing = missing(&value)?;
    }
    manifest.warm_up = warm_up(object.list("warm_up")?)?;
    Ok(())
}

fn missing(value: &Value) -> Result<Missing, String> {
    match value {
        Value::Null => Ok(Missing::Allowed),
        Value::String(text) if text.eq_ignore_ascii_case("nan") => Ok(Missing::Allowed),
        other => single(other)
            .map(Missing::Sentinel)
            .ok_or_else(|| mismatch("missing", "null, \"nan\" or a number of single precision", other)),
    }
}

fn warm_up(rows: Vec<Value>) -> Result<Vec<Vec<Option<f32>>>, String> {
    if rows.len() > WARM_UP_ROWS_MAX {
        return Err(format!("warm_up: expected at most {WARM_UP_ROWS_MAX} rows, found {}", rows.len()));
    }
    let mut decoded: Vec<Vec<Option<f32>>> = Vec::with_capacity(rows.len());
    for (row, cells) in rows.into_iter().enumerate() {
        let Value::Array(cells) = cells else {
            return Err(mismatch(&format!("warm_up[{row}]"), "a list of numbers and nulls", &cells));
        };
        let cells = cells.iter().enumerate().map(|(column, cell)| match cell {
            Value::Null => Ok(None),
            cell => {
                let place = format!("warm_up[{row}][{column}]");
                single(cell)
                    .map(Some)
                    .ok_or_else(|| mismatch(&place, "null or a number of single precision", cell))
            }
        });
        decoded.push(cells.collect::<Result<_, _>>()?);
    }
    Ok(decoded)
}

/// A number that is finite in single precision.
fn single(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

/// Where it comes from, and the digests of its members.
fn provenance(object: &mut Object, manifest: &mut Manifest) -> Result<(), String> {
    manifest.created_by = object.text("created_by")?;
    manifest.hyperparameters = object.object("hyperparameters")?;
    manifest.metrics = object.object("metrics")?;
    // Part of the linear learner's report; checked, so that it is not mistaken for an unknown key.
    object.object("best_hyperparameters")?;
    let mut digests = BTreeMap::new();
    for (member, digest) in object.object("sha256")? {
        let text = digest.as_str().map(str::to_ascii_lowercase);
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let place = format!("sha256[{member:?}]");
        let text =
            text.filter(is_digest).ok_or_else(|| mismatch(&place, "64 hexadecimal digits", &digest))?;
        digests.insert(member, text);
    }
    manifest.sha256 = digests;
    Ok(())
}

/// What single families add.
fn family(object: &mut Object, manifest: &mut Manifest) -> Result<(), String> {
    match manifest.algorithm {
        Algorithm::Xgboost => {}
        Algorithm::LinearLearner => {
            let kinds = PredictorType::ALL.map(|kind| (kind.name(), kind));
            manifest.predictor_type = object.word("predictor_type", &kinds)?;
            manifest.loss = object.text("loss")?;
            manifest.threshold = object.number("threshold")?;
            manifest.num_classes = object.whole("num_classes", 1)?;
        }
        Algorithm::Kmeans => manifest.k = object.whole("k", 1)?,
        other => {
            if other == Algorithm::FactorizationMachines {
                let kinds = [PredictorType::BinaryClassifier, PredictorType::Regressor];
                manifest.predictor_type =
                    object.word("predictor_type", &kinds.map(|kind| (kind.name(), kind)))?;
            }
            let take = |key: &&'static str| Some(((*key).to_owned(), object.take(key)?));
            manifest.details = other.details().iter().filter_map(take).collect();
        }
    }
    Ok(())
}

/// Refuses keys that contradict each other, or that the family has no use for.
fn check_agreement(manifest: &Manifest) -> Result<(), String> {
    let name = manifest.algorithm.name();
    if !manifest.algorithm.takes_missing() {
        if manifest.missing != Missing::Refused {
            return Err(format!("missing: expected no such key, since {name} takes no missing values"));
        }
        if manifest.narrow_rows != NarrowRows::Refuse {
            return Err(format!("narrow_rows: expected \"refuse\", since {name} takes no missing values"));
        }
    }
    let width = match (manifest.feature_dim, manifest.features.len()) {
        (Some(width), names) if names != 0 && names != width => {
            return Err(format!("features: expected {width} names as feature_dim says, found {names}"));
        }
        (Some(width), _) => Some(width),
        (None, 0) => manifest.warm_up.first().map(Vec::len),
        (None, names) => Some(names),
    };
    for (row, cells) in manifest.warm_up.iter().enumerate() {
        if width.is_some_and(|width| width != cells.len()) {
            let width = width.unwrap_or_default();
            return Err(format!("warm_up[{row}]: expected {width} values, found {}", cells.len()));
        }
        if !manifest.algorithm.takes_missing()
            && let Some(column) = cells.iter().position(Option::is_none)
        {
            return Err(format!(
                "warm_up[{row}][{column}]: expected a number, since {name} takes no missing values"
            ));
        }
    }
    Ok(())
}
