//! XGBoost's C library, found at run time: the one module with `unsafe`.
//!
//! [`Library`] holds the loaded object and the functions looked up in it; [`Matrix`] and [`Handle`] own what those
//! functions create, and keep the library alive. Everything public here is safe to call: lengths are taken from the
//! slices, strings are checked for NUL, results are copied out before the next call may overwrite them.
#![expect(unsafe_code, reason = "a C library has no other door; every block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_float, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use dmatrix::{DMatrix, Storage};

/// `DMatrixHandle` and `BoosterHandle` of the C header.
type Raw = *mut c_void;
/// `bst_ulong` of the C header.
type Length = u64;

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
    /// A parameter holds a NUL byte.
    #[error("{0:?} holds a NUL byte")]
    Nul(String),
}

/// Declares the function table, and how it is looked up by the C names.
macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions that are used, as the C header `xgboost/c_api.h` declares them.
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            /// Looks up every function; a missing one is the error.
            fn find(object: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of XGBoost's C header, unchanged since 1.7, the oldest version that
                    // has all of these symbols.
                    $($field: unsafe { *object.get::<unsafe extern "C" fn($($argument),*) -> $result>($symbol)? },)*
                })
            }
        }
    };
}

functions! {
    last_error = b"XGBGetLastError\0": fn() -> *const c_char;
    version = b"XGBoostVersion\0": fn(*mut c_int, *mut c_int, *mut c_int) -> ();
    matrix_from_dense = b"XGDMatrixCreateFromMat\0": fn(*const c_float, Length, Length, c_float, *mut Raw) -> c_int;
    matrix_from_csr = b"XGDMatrixCreateFromCSR\0":
        fn(*const c_char, *const c_char, *const c_char, Length, *const c_char, *mut Raw) -> c_int;
    matrix_set = b"XGDMatrixSetFloatInfo\0": fn(Raw, *const c_char, *const c_float, Length) -> c_int;
    matrix_free = b"XGDMatrixFree\0": fn(Raw) -> c_int;
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

/// The loaded library.
pub(crate) struct Library {
    functions: Functions,
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
        Ok(Arc::new(Self { functions, _object: object }))
    }

    /// Major, minor, patch.
    pub(crate) fn version(&self) -> [i32; 3] {
        let [mut major, mut minor, mut patch] = [0; 3];
        // SAFETY: three live integers, written before the call returns.
        unsafe { (self.functions.version)(&raw mut major, &raw mut minor, &raw mut patch) };
        [major, minor, patch]
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

/// The description of a one-dimensional array in memory that XGBoost's newer functions take
/// (numpy's `__array_interface__`).
fn array_interface(address: usize, length: usize, kind: &str) -> Result<CString, LibraryError> {
    text(&format!(r#"{{"data": [{address}, true], "shape": [{length}], "typestr": "{kind}", "version": 3}}"#))
}

/// Rows in XGBoost's own form.
#[derive(Debug)]
pub(crate) struct Matrix {
    raw: Raw,
    library: Arc<Library>,
}

impl Matrix {
    /// Copies `rows`; NaN and, in a sparse row, absence are missing.
    pub(crate) fn new(library: &Arc<Library>, rows: &DMatrix) -> Result<Self, LibraryError> {
        let mut raw = ptr::null_mut();
        let columns = rows.columns() as Length;
        let code = match rows.storage() {
            // SAFETY: `values` is `rows × columns` floats, which XGBoost copies before it returns.
            Storage::Dense => unsafe {
                let count = rows.rows() as Length;
                (library.functions.matrix_from_dense)(
                    rows.values().as_ptr(),
                    count,
                    columns,
                    f32::NAN,
                    &raw mut raw,
                )
            },
            Storage::Sparse => {
                let offsets: Vec<u64> = rows.offsets().iter().map(|&offset| offset as u64).collect();
                let offsets_json = array_interface(offsets.as_ptr().addr(), offsets.len(), "<u8")?;
                let (indices, values) = (rows.indices(), rows.values());
                let indices_json = array_interface(indices.as_ptr().addr(), indices.len(), "<u4")?;
                let values_json = array_interface(values.as_ptr().addr(), values.len(), "<f4")?;
                // SAFETY: the three arrays live to the end of this block, have the lengths and types the
                // descriptions say, and are copied before the call returns.
                unsafe {
                    (library.functions.matrix_from_csr)(
                        offsets_json.as_ptr(),
                        indices_json.as_ptr(),
                        values_json.as_ptr(),
                        columns,
                        c"{\"missing\": NaN, \"nthread\": 0}".as_ptr(),
                        &raw mut raw,
                    )
                }
            }
        };
        library.check(code)?;
        Ok(Self { raw, library: Arc::clone(library) })
    }

    /// Sets a column beside the features: `label`, `weight`, `label_lower_bound`, `label_upper_bound`.
    pub(crate) fn set(&self, field: &CStr, values: &[f32]) -> Result<(), LibraryError> {
        // SAFETY: a live handle, a terminated name, and a slice that is copied.
        let code = unsafe {
            (self.library.functions.matrix_set)(
                self.raw,
                field.as_ptr(),
                values.as_ptr(),
                values.len() as Length,
            )
        };
        self.library.check(code)
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        // SAFETY: the handle came from the library and is freed once; a failure leaves nothing to do.
        unsafe { (self.library.functions.matrix_free)(self.raw) };
    }
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

    /// The margins of `rows`, row by row, as many a row as the model has groups.
    pub(crate) fn margins(&self, rows: &Matrix) -> Result<Vec<f32>, LibraryError> {
        let config = c"{\"type\": 1, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, \"strict_shape\": false}";
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
