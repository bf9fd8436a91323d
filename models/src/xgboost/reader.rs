//! Any XGBoost model file to a validated [`Booster`].
//!
//! The format is recognised by how each begins, never by the file's name:
//!
//! | first bytes | format | written by |
//! |---|---|---|
//! | `binf`, or a 136-byte header and the names of an objective and a booster | binary | up to 3.0 |
//! | `{` then `"`, `}` or white space | JSON | since 1.0 |
//! | `{` then a UBJSON integer marker (`i U I l L`) | UBJSON | since 1.6, the default since 2.1 |
//! | `0x80`, or the text of a protocol 0 pickle of a Booster | pickle | SageMaker's container up to 1.2 |

use super::booster::Booster;
use super::{binary, json, pickle, ubjson};
use crate::LoadError;

/// Reads and validates a model; `file_name` is for the error alone.
///
/// # Errors
/// When the format is not known, or the file is damaged, hostile or not a model.
pub fn read(file_name: &str, bytes: &[u8]) -> Result<Booster, LoadError> {
    let read = if pickle::is_pickle(bytes) && !binary::is_binary(bytes) { pickle::read } else { read_model };
    let booster = read(bytes).and_then(|booster| booster.validate().map(|()| booster));
    booster.map_err(|reason| LoadError::Model { file: file_name.to_owned(), reason })
}

/// Every format but pickle: what a file holds, and what the pickle of a Booster holds inside.
pub(super) fn read_model(bytes: &[u8]) -> Result<Booster, String> {
    if binary::is_binary(bytes) {
        return binary::read(bytes);
    }
    match bytes {
        [b'{', b'"' | b'}' | b' ' | b'\t' | b'\r' | b'\n', ..] => {
            json::from_slice::<super::document::Document>(bytes)?.into_booster()
        }
        [b'{', b'i' | b'U' | b'I' | b'l' | b'L', ..] => {
            ubjson::from_slice::<super::document::Document>(bytes)?.into_booster()
        }
        [b'b', b's', b'6', b'4', ..] => Err("the base64 format of XGBoost before 0.7 is not read".into()),
        [] => Err("expected an XGBoost model, found an empty file".into()),
        _ => Err(format!(
            "expected an XGBoost model in JSON, UBJSON, binary or pickle, found {}",
            opening(bytes)
        )),
    }
}

/// The first bytes, for an error.
fn opening(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(8)];
    format!("a file that begins with \"{}\"", shown.escape_ascii())
}
