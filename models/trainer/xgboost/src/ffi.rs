//! XGBoost's C library, found at run time: the one module with `unsafe`.
//!
//! [`Library`] holds the loaded object and the functions looked up in it; [`Matrix`] and [`Handle`] own what those
//! functions create, and keep the library alive; [`Batches`] is what the library's callbacks read. Everything public here
//! is safe to call: lengths are taken from the slices, strings are checked for NUL, results are copied out before the next
//! call may overwrite them.
#![expect(unsafe_code, reason = "a C library has no other door; every block says why it is sound")]

mod collective;
mod matrix;

use std::ffi::{CStr, CString, c_char, c_float, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

pub(crate) use self::collective::{Membership, Tracker};
pub(crate) use self::matrix::{Batches, Matrix};

/// `DMatrixHandle` and `BoosterHandle` of the C header.
type Raw = *mut c_void;
/// `bst_ulong` of the C header.
type Length = u64;
/// `DataIterResetCallback` of the C header.
type Reset = unsafe extern "C" fn(Raw);
/// `XGDMatrixCallbackNext` of the C header.
type Next = unsafe extern "C" fn(Raw) -> c_int;

/// Why a call into the library failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// The shared object cannot be loaded, or is not XGBoost.
    #[error("{path}: {reason}")]
    Load {
        /// Which.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// XGBoost itself refuses; its first line.
    #[error("XGBoost says: {0}")]
    Refused(String),
    /// The library lacks a function that newer versions have.
    #[error("{needed_for} needs XGBoost {since} or newer, which has {symbol}")]
    TooOld {
        /// What it is asked for.
        needed_for: &'static str,
        /// The version that brought it.
        since: &'static str,
        /// The function's name.
        symbol: String,
    },
    /// The rows of a batch cannot be read again.
    #[error("rows kept in the scratch folder: {0}")]
    Rows(#[from] std::io::Error),
    /// A parameter holds a NUL byte.
    #[error("{0:?} holds a NUL byte")]
    Nul(String),
}

/// Declares a table of functions, and how it is looked up by the C names.
macro_rules! functions {
    ($(#[$meta:meta])* $table:ident { $($field:ident = $symbol:literal: fn($($argument:ty),*) -> $result:ty;)* }) => {
        $(#[$meta])*
        struct $table {
            $($field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl $table {
            /// Looks up every function; a missing one is the error.
            fn find(object: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of XGBoost's C header, unchanged since the first version that has all
                    // of these symbols.
                    $($field: unsafe { *object.get::<unsafe extern "C" fn($($argument),*) -> $result>($symbol)? },)*
                })
            }
        }
    };
}

functions! {
    /// The functions that are used, as the C header `xgboost/c_api.h` of 1.7 and newer declares them.
    Functions {
    last_error = b"XGBGetLastError\0": fn() -> *const c_char;
    version = b"XGBoostVersion\0": fn(*mut c_int, *mut c_int, *mut c_int) -> ();
    matrix_from_dense = b"XGDMatrixCreateFromDense\0": fn(*const c_char, *const c_char, *mut Raw) -> c_int;
    matrix_from_csr = b"XGDMatrixCreateFromCSR\0":
        fn(*const c_char, *const c_char, *const c_char, Length, *const c_char, *mut Raw) -> c_int;
    matrix_from_batches = b"XGDMatrixCreateFromCallback\0":
        fn(Raw, Raw, Reset, Next, *const c_char, *mut Raw) -> c_int;
    quantiles_from_batches = b"XGQuantileDMatrixCreateFromCallback\0":
        fn(Raw, Raw, Raw, Reset, Next, *const c_char, *mut Raw) -> c_int;
    matrix_set = b"XGDMatrixSetInfoFromInterface\0": fn(Raw, *const c_char, *const c_char) -> c_int;
    matrix_slice = b"XGDMatrixSliceDMatrixEx\0": fn(Raw, *const c_int, Length, *mut Raw, c_int) -> c_int;
    matrix_free = b"XGDMatrixFree\0": fn(Raw) -> c_int;
    proxy_create = b"XGProxyDMatrixCreate\0": fn(*mut Raw) -> c_int;
    proxy_set_dense = b"XGProxyDMatrixSetDataDense\0": fn(Raw, *const c_char) -> c_int;
    proxy_set_csr = b"XGProxyDMatrixSetDataCSR\0":
        fn(Raw, *const c_char, *const c_char, *const c_char, Length) -> c_int;
    booster_create = b"XGBoosterCreate\0": fn(*const Raw, Length, *mut Raw) -> c_int;
    booster_free = b"XGBoosterFree\0": fn(Raw) -> c_int;
    booster_set_parameter = b"XGBoosterSetParam\0": fn(Raw, *const c_char, *const c_char) -> c_int;
    booster_set_attribute = b"XGBoosterSetAttr\0": fn(Raw, *const c_char, *const c_char) -> c_int;
    booster_update = b"XGBoosterUpdateOneIter\0": fn(Raw, c_int, Raw) -> c_int;
    booster_evaluate = b"XGBoosterEvalOneIter\0":
        fn(Raw, c_int, *const Raw, *const *const c_char, Length, *mut *const c_char) -> c_int;
    booster_slice = b"XGBoosterSlice\0": fn(Raw, c_int, c_int, c_int, *mut Raw) -> c_int;
    booster_save = b"XGBoosterSaveModelToBuffer\0":
        fn(Raw, *const c_char, *mut Length, *mut *const c_char) -> c_int;
    booster_load = b"XGBoosterLoadModelFromBuffer\0": fn(Raw, *const c_void, Length) -> c_int;
    booster_predict = b"XGBoosterPredictFromDMatrix\0":
        fn(Raw, Raw, *const c_char, *mut *const Length, *mut Length, *mut *const c_float) -> c_int;
    }
}

functions! {
    /// How several hosts train together, since 2.1.
    Collective {
    tracker_create = b"XGTrackerCreate\0": fn(*const c_char, *mut Raw) -> c_int;
    tracker_arguments = b"XGTrackerWorkerArgs\0": fn(Raw, *mut *const c_char) -> c_int;
    tracker_run = b"XGTrackerRun\0": fn(Raw, *const c_char) -> c_int;
    tracker_free = b"XGTrackerFree\0": fn(Raw) -> c_int;
    join = b"XGCommunicatorInit\0": fn(*const c_char) -> c_int;
    leave = b"XGCommunicatorFinalize\0": fn() -> c_int;
    }
}

/// The loaded library.
pub(crate) struct Library {
    functions: Functions,
    /// Absent in older libraries: what is missing.
    collective: Result<Collective, String>,
    /// Keeps the object mapped while `functions` point into it.
    _object: libloading::Library,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("version", &self.version()).finish_non_exhaustive()
    }
}

impl Library {
    /// Loads the shared object at `path` (or, when it is a bare name, where the system's loader finds it).
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, LibraryError> {
        let failed =
            |reason: libloading::Error| LibraryError::Load { path: path.into(), reason: reason.to_string() };
        // SAFETY: loading runs the object's initialisers; the operator names the file, and trusts it as he trusts
        // this program.
        let object = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        let functions = Functions::find(&object).map_err(failed)?;
        let collective = Collective::find(&object).map_err(|error| error.to_string());
        Ok(Arc::new(Self { functions, collective, _object: object }))
    }

    /// Major, minor, patch.
    pub(crate) fn version(&self) -> [i32; 3] {
        let [mut major, mut minor, mut patch] = [0; 3];
        // SAFETY: three live integers, written before the call returns.
        unsafe { (self.functions.version)(&raw mut major, &raw mut minor, &raw mut patch) };
        [major, minor, patch]
    }

    fn collective(&self) -> Result<&Collective, LibraryError> {
        self.collective.as_ref().map_err(|symbol| LibraryError::TooOld {
            needed_for: "training on several hosts",
            since: "2.1",
            symbol: symbol.clone(),
        })
    }

    /// Turns a return code into a result; the message is XGBoost's own, without its stack trace.
    fn check(&self, code: c_int) -> Result<(), LibraryError> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: after a failure the library returns a NUL-terminated string of this thread, valid until its next
        // call; it is copied at once.
        let message = unsafe { CStr::from_ptr((self.functions.last_error)()) }.to_string_lossy();
        Err(LibraryError::Refused(first_line(&message)))
    }
}

/// The sentence a person needs of XGBoost's message: `[time] file:line: Check failed: … : why` and a stack trace.
fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason").trim();
    let without_time = line.split_once("] ").map_or(line, |(_, rest)| rest);
    match without_time.split_once(": ") {
        Some((place, rest)) if [".cc:", ".cu:", ".h:"].iter().any(|ending| place.contains(ending)) => {
            rest.to_string()
        }
        _ => without_time.to_string(),
    }
}

/// A NUL-terminated copy.
fn text(value: &str) -> Result<CString, LibraryError> {
    CString::new(value).map_err(|_| LibraryError::Nul(value.to_string()))
}

/// A booster's handle.
#[derive(Debug)]
pub(crate) struct Handle {
    raw: Raw,
    library: Arc<Library>,
}

impl Handle {
    /// A booster without trees that caches what it says of `matrices`.
    pub(crate) fn new(library: &Arc<Library>, matrices: &[&Matrix]) -> Result<Self, LibraryError> {
        let handles: Vec<Raw> = matrices.iter().map(|matrix| matrix.raw).collect();
        let mut raw = ptr::null_mut();
        // SAFETY: an array of live handles of that length; the library keeps its own reference to each.
        let code = unsafe {
            (library.functions.booster_create)(handles.as_ptr(), handles.len() as Length, &raw mut raw)
        };
        library.check(code)?;
        Ok(Self { raw, library: Arc::clone(library) })
    }

    /// Sets a training parameter.
    pub(crate) fn set_parameter(&mut self, name: &str, value: &str) -> Result<(), LibraryError> {
        let (name, value) = (text(name)?, text(value)?);
        // SAFETY: a live handle and two terminated strings, which are copied.
        let code = unsafe {
            (self.library.functions.booster_set_parameter)(self.raw, name.as_ptr(), value.as_ptr())
        };
        self.library.check(code)
    }

    /// Sets an attribute, saved with the model.
    pub(crate) fn set_attribute(&mut self, name: &str, value: &str) -> Result<(), LibraryError> {
        let (name, value) = (text(name)?, text(value)?);
        // SAFETY: as `set_parameter`.
        let code = unsafe {
            (self.library.functions.booster_set_attribute)(self.raw, name.as_ptr(), value.as_ptr())
        };
        self.library.check(code)
    }

    /// One boosting round.
    pub(crate) fn update(&mut self, round: i32, rows: &Matrix) -> Result<(), LibraryError> {
        // SAFETY: two live handles of the same library.
        let code = unsafe { (self.library.functions.booster_update)(self.raw, round, rows.raw) };
        self.library.check(code)
    }

    /// XGBoost's metric line of the round: `[0]\ttrain-rmse:0.5\tvalidation-rmse:0.6`.
    pub(crate) fn evaluate(
        &mut self,
        round: i32,
        named: &[(&CStr, &Matrix)],
    ) -> Result<String, LibraryError> {
        let handles: Vec<Raw> = named.iter().map(|(_, matrix)| matrix.raw).collect();
        let names: Vec<*const c_char> = named.iter().map(|(name, _)| name.as_ptr()).collect();
        let mut line = ptr::null();
        // SAFETY: two arrays of that length, of live handles and terminated names; `line` is valid until the
        // booster's next call and is copied at once.
        unsafe {
            let code = (self.library.functions.booster_evaluate)(
                self.raw,
                round,
                handles.as_ptr(),
                names.as_ptr(),
                handles.len() as Length,
                &raw mut line,
            );
            self.library.check(code)?;
            Ok(CStr::from_ptr(line).to_string_lossy().into_owned())
        }
    }

    /// A copy that holds only the first `rounds` rounds.
    pub(crate) fn first_rounds(&self, rounds: i32) -> Result<Self, LibraryError> {
        let mut raw = ptr::null_mut();
        // SAFETY: a live handle; the new one is owned by the value returned.
        let code = unsafe { (self.library.functions.booster_slice)(self.raw, 0, rounds, 1, &raw mut raw) };
        self.library.check(code)?;
        Ok(Self { raw, library: Arc::clone(&self.library) })
    }

    /// The model's file, `ubj` or `json`.
    pub(crate) fn save(&self, format: &str) -> Result<Vec<u8>, LibraryError> {
        let config = text(&format!(r#"{{"format": "{format}"}}"#))?;
        let (mut length, mut bytes) = (0, ptr::null());
        // SAFETY: the buffer is the booster's own, `length` bytes long, valid until its next call; copied at once.
        unsafe {
            let code = (self.library.functions.booster_save)(
                self.raw,
                config.as_ptr(),
                &raw mut length,
                &raw mut bytes,
            );
            self.library.check(code)?;
            Ok(std::slice::from_raw_parts(bytes.cast::<u8>(), length as usize).to_vec())
        }
    }

    /// Replaces the model by the one in `file`.
    pub(crate) fn load(&mut self, file: &[u8]) -> Result<(), LibraryError> {
        // SAFETY: a live handle and a slice that is only read during the call.
        let code = unsafe {
            (self.library.functions.booster_load)(self.raw, file.as_ptr().cast(), file.len() as Length)
        };
        self.library.check(code)
    }

    /// What the model says of `rows`, row by row, as many a row as the model has groups: margins, or answers.
    pub(crate) fn predict(&self, rows: &Matrix, margins: bool) -> Result<Vec<f32>, LibraryError> {
        let kind = u8::from(margins);
        let config = text(&format!(
            r#"{{"type": {kind}, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false}}"#
        ))?;
        let (mut shape, mut dimensions, mut values) = (ptr::null(), 0, ptr::null());
        // SAFETY: shape and values are the booster's own, valid until its next call; the shape has `dimensions`
        // entries and the values their product; both are copied at once.
        unsafe {
            let code = (self.library.functions.booster_predict)(
                self.raw,
                rows.raw,
                config.as_ptr(),
                &raw mut shape,
                &raw mut dimensions,
                &raw mut values,
            );
            self.library.check(code)?;
            let count: u64 = std::slice::from_raw_parts(shape, dimensions as usize).iter().product();
            if count == 0 {
                return Ok(Vec::new());
            }
            Ok(std::slice::from_raw_parts(values, count as usize).to_vec())
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle came from the library and is freed once; a failure leaves nothing to do.
        unsafe { (self.library.functions.booster_free)(self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_its_place_and_stack() {
        let check = |message, expected| assert_eq!(first_line(message), expected);
        check(
            "[06:30:00] /workspace/src/objective/regression_obj.cu:119: Check failed: ok: label must be in [0,1]\nStack trace:\n  [bt]",
            "Check failed: ok: label must be in [0,1]",
        );
        check("[06:30:00] a/b.cc:12: Invalid value\nStack trace:", "Invalid value");
        check("plain", "plain");
        check("", "no reason");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Library::load(Path::new("/nonexistent/libxgboost.so")).expect_err("no such file");
        assert!(error.to_string().starts_with("/nonexistent/libxgboost.so: "), "{error}");
    }
}
