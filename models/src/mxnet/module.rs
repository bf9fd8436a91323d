//! A zipped module: parameters, and the graph whose last layer says what is predicted.

use serde_json::Value;

use super::arrays::{self, Array};
use super::zip;
use crate::LoadError;
use crate::manifest::PredictorType;
use crate::tensors::refuse;

/// The most bytes of a graph. Reason: these have ten nodes; deep networks' have a megabyte.
const SYMBOL_BYTES_MAX: usize = 4 << 20;

/// The arrays, and what the output layer says, if it is known.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<(Vec<Array>, Option<PredictorType>), LoadError> {
    let members = zip::read(file, bytes)?;
    let ending = |ending: &str| members.iter().find(|(name, _)| name.ends_with(ending));
    let Some((name, parameters)) = ending(".params") else {
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        return Err(refuse(file, format!("expected a member *.params, found {}", names.join(", "))));
    };
    let arrays = arrays::read(&format!("{file}/{name}"), parameters)?;
    let predictor = match ending("-symbol.json") {
        Some((name, symbol)) => {
            predictor(symbol).map_err(|reason| refuse(file, format!("{name}: {reason}")))?
        }
        None => None,
    };
    Ok((arrays, predictor))
}

/// What the graph's output layer predicts; of several, the last.
fn predictor(symbol: &[u8]) -> Result<Option<PredictorType>, String> {
    if symbol.len() > SYMBOL_BYTES_MAX {
        return Err(format!("expected at most {SYMBOL_BYTES_MAX} bytes, found {}", symbol.len()));
    }
    #[expect(clippy::disallowed_methods, reason = "capped just above; serde_json caps the depth at 128")]
    let graph: Value = serde_json::from_slice(symbol).map_err(|error| error.to_string())?;
    let nodes =
        graph.get("nodes").and_then(Value::as_array).ok_or("expected a list \"nodes\", found none")?;
    let kinds = nodes.iter().rev().filter_map(|node| match node.get("op").and_then(Value::as_str)? {
        "LogisticRegressionOutput" | "sigmoid" => Some(PredictorType::BinaryClassifier),
        "SoftmaxOutput" | "softmax" | "Softmax" => Some(PredictorType::MulticlassClassifier),
        "LinearRegressionOutput" | "MAERegressionOutput" => Some(PredictorType::Regressor),
        _ => None,
    });
    Ok({ kinds }.next())
}
