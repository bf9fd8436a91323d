//! A pickled `xgboost.core.Booster`, as SageMaker's containers up to 1.2 wrote it (`pickle.dump(booster)`), read as
//! data.
//!
//! `machine` builds plain values and refuses every name and opcode that such a pickle does not need. What counts is the
//! state dictionary: `handle` holds a model file or a snapshot, the rest are Python attributes.

mod machine;
mod value;

use machine::Pickle;
use value::{Id, Value};

use super::booster::Booster;
use super::{binary, json, reader};

/// Before the snapshot of 1.0 to 1.3: this, the length of the binary model, the model, and a configuration in JSON.
const SNAPSHOT_MAGIC: &[u8] = b"CONFIG-offset:";
/// Python attributes of a Booster that say something about prediction; as text they join the model's own.
const CARRIED: [&str; 3] = ["best_iteration", "best_score", "best_ntree_limit"];

/// Whether `bytes` begin as a pickle does: the PROTO opcode, or protocol 0 or 1 making a Booster.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    let openings: [&[u8]; 3] = [b"\x80", b"ccopy_reg\n", b"ccopyreg\n"];
    openings.iter().any(|opening| bytes.starts_with(opening))
}

/// Reads the Booster that the pickle holds.
pub(super) fn read(bytes: &[u8]) -> Result<Booster, String> {
    let pickle = machine::run(bytes)?;
    let state = pickle.state()?;
    let mut booster = match pickle.find(state, "handle") {
        Some(Value::Bytes(handle)) => read_handle(handle)?,
        Some(Value::None) => return Err("pickle: the Booster was never trained".into()),
        Some(_) => {
            return Err("pickle: expected the bytes of a model in \"handle\", found another value".into());
        }
        None => return Err("pickle: expected a model in \"handle\", found none".into()),
    };
    for name in CARRIED {
        let value = pickle.find(state, name).and_then(as_text);
        if let Some(value) = value.filter(|_| booster.attributes.iter().all(|(found, _)| found != name)) {
            booster.attributes.push((name.to_owned(), value));
        }
    }
    booster.attributes.sort();
    if let Some(names) = pickle.texts(state, "feature_names")? {
        booster.feature_names = names;
    }
    if let Some(types) = pickle.texts(state, "feature_types")? {
        booster.feature_types = types;
    }
    Ok(booster)
}

/// The model that a Booster hands to its pickle: a snapshot since 1.0, a model file before.
fn read_handle(handle: &[u8]) -> Result<Booster, String> {
    let Some(rest) = handle.strip_prefix(SNAPSHOT_MAGIC) else {
        return reader::read_model(handle);
    };
    let (length, rest) = rest.split_first_chunk().ok_or("pickle: the snapshot is cut short")?;
    let length = usize::try_from(i64::from_le_bytes(*length)).ok().filter(|length| *length <= rest.len());
    let length = length.ok_or("pickle: the snapshot states a model longer than itself")?;
    let (model, configuration) = rest.split_at(length);
    json::check(configuration)
        .map_err(|reason| format!("pickle: the configuration in the snapshot: {reason}"))?;
    binary::read(model)
}

impl<'a> Pickle<'a> {
    fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// The entries of the Booster's state.
    fn state(&self) -> Result<&[(Id, Id)], String> {
        let Value::Booster(state) = self.value(self.top) else {
            return Err("pickle: expected a Booster, found another value".into());
        };
        match state.map(|state| self.value(state)) {
            Some(Value::Dict(entries)) => Ok(entries),
            Some(_) => Err("pickle: expected the state of a Booster to be a dictionary".into()),
            None => Err("pickle: the Booster has no state".into()),
        }
    }

    /// The last value under `name`, as a dictionary has it.
    fn find(&self, state: &[(Id, Id)], name: &str) -> Option<&Value<'a>> {
        let is_name = |key: &Id| matches!(self.value(*key), Value::Text(text) if text.as_ref() == name);
        state.iter().rev().find(|(key, _)| is_name(key)).map(|(_, value)| self.value(*value))
    }

    /// A list of texts, when there is one.
    fn texts(&self, state: &[(Id, Id)], name: &str) -> Result<Option<Vec<String>>, String> {
        let items = match self.find(state, name) {
            None | Some(Value::None) => return Ok(None),
            Some(Value::List(items) | Value::Tuple(items)) => items,
            Some(_) => {
                return Err(format!("pickle: expected a list of texts in {name:?}, found another value"));
            }
        };
        let mut bytes = 0;
        let mut texts = Vec::new();
        for item in items {
            let Value::Text(text) = self.value(*item) else {
                return Err(format!("pickle: expected a list of texts in {name:?}, found another item"));
            };
            bytes += text.len();
            if bytes > NAMES_BYTES_MAX {
                return Err(format!("pickle: expected at most {NAMES_BYTES_MAX} bytes in {name:?}"));
            }
            texts.push(text.as_ref().clone().into_owned());
        }
        Ok(Some(texts))
    }
}

/// Most bytes of feature names: a list may name one long text a million times.
const NAMES_BYTES_MAX: usize = 1 << 26;

/// A number or text as text; nothing for other values.
fn as_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Text(text) => Some(text.as_ref().clone().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(bytes: &[u8], expected: &str) {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn names_outside_the_list_are_refused_by_name() {
        check_refused(b"cos\nsystem\n(S'true'\ntR.", "\"os.system\"");
        check_refused(b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "\"posix.system\"");
        check_refused(b"c__builtin__\neval\n(S'1'\ntR.", "\"__builtin__.eval\"");
        check_refused(b"\x80\x02cbuiltins\ngetattr\n.", "\"builtins.getattr\"");
        check_refused(b"\x80\x02cxgboost.core\nDMatrix\n.", "\"xgboost.core.DMatrix\"");
        check_refused(b"\x80\x03cxgboost.sklearn\nXGBClassifier\n.", "scikit-learn wrapper");
    }

    #[test]
    fn opcodes_outside_the_list_are_refused() {
        check_refused(b"\x80\x02(i\nos\nsystem\n.", "0x69");
        check_refused(b"\x80\x02N2.", "0x32");
        check_refused(b"\x80\x02\x82\x01.", "0x82");
        check_refused(b"P1\n.", "0x50");
        check_refused(b"\x80\x05\x97.", "0x97");
        check_refused(b"\x80\x06.", "protocol");
    }

    #[test]
    fn known_names_take_known_arguments_only() {
        check_refused(b"\x80\x02cxgboost.core\nBooster\n)R.", "Booster is given arguments");
        check_refused(b"\x80\x02c__builtin__\nobject\n)\x81.", "only a Booster can be made");
        check_refused(
            b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
            "ByteArray is given arguments",
        );
        check_refused(
            b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00zip_c\x86R.",
            "Encode is given",
        );
        check_refused(b"\x80\x02]N}b.", "given a state");
        check_refused(b"\x80\x02Na.", "expected a value on the stack");
        check_refused(b"\x80\x02}NNNu.", "expected a mark");
        check_refused(b"\x80\x02h\x05.", "no entry 5");
        check_refused(b"\x80\x02N.", "expected a Booster");
    }

    #[test]
    fn bombs_are_bounded() {
        check_refused(&[b"\x80\x02".as_slice(), &[b'('; 100_000]].concat(), "the stack is deeper");
        check_refused(b"\x80\x02X\xff\xff\xff\xff", "expected 4294967295 more bytes");
        check_refused(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", "more bytes");
        // One text encoded over and over.
        let encode = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R0";
        let text = [b"X\xe8\x03\x00\x00".as_slice(), &[b'a'; 1000], b"q\x00"].concat();
        check_refused(&[b"\x80\x02".as_slice(), &text, &encode.repeat(500)].concat(), "over and over");
        check_refused(&[b"\x80\x04N".as_slice(), &vec![0x94; 1_100_000]].concat(), "the memo has more");
        check_refused(
            &[b"\x80\x04".as_slice(), &b"N0".repeat(1_100_000)].concat(),
            "more than 1048576 values",
        );
        // A list that holds itself is an index, not a loop.
        check_refused(b"\x80\x02]q\x00h\x00a.", "expected a Booster");
    }
}
