//! What a pickle can say here: plain data, and names from a closed list that stand for nothing but themselves.

use std::borrow::Cow;
use std::rc::Rc;

/// A place in the machine's arena. Lists and dictionaries are shared by it, as Python shares objects.
pub(super) type Id = u32;

/// A value. Nothing in it can be called.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<Cow<'a, str>>),
    Bytes(Rc<Cow<'a, [u8]>>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// A Booster, and its state once it is set.
    Booster(Option<Id>),
    /// An object that is passed over: a numpy scalar or type.
    Inert,
}

/// The names a pickled Booster uses. A name is data: it says how to read its arguments, and nothing is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    Booster,
    Object,
    Reconstructor,
    ByteArray,
    Encode,
    OrderedDict,
    /// A numpy scalar or type, such as a `best_score` computed by numpy: passed over.
    Numpy,
}

impl Global {
    /// # Errors
    /// When the name is not on the list.
    pub(super) fn named(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("xgboost.core", "Booster") => Self::Booster,
            ("builtins" | "__builtin__", "object") => Self::Object,
            ("builtins" | "__builtin__", "bytearray") => Self::ByteArray,
            ("copyreg" | "copy_reg", "_reconstructor") => Self::Reconstructor,
            ("_codecs", "encode") => Self::Encode,
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") | ("numpy", "dtype") => {
                Self::Numpy
            }
            ("xgboost.sklearn", _) => {
                return Err(format!(
                    "the pickle is of the scikit-learn wrapper {:?}: save its Booster instead \
                     (get_booster().save_model(...))",
                    clipped(module, name)
                ));
            }
            _ => {
                return Err(format!(
                    "the pickle names {:?}, which is not part of a pickled Booster; nothing in it was run",
                    clipped(module, name)
                ));
            }
        })
    }
}

/// `module.name`, short enough for a message.
fn clipped(module: &str, name: &str) -> String {
    format!("{module}.{name}").chars().take(80).collect()
}
