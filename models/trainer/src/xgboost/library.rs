//! Where XGBoost's shared object is looked for, and what is said when it is nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ffi::Library;
use crate::error::TrainError;

/// Where the wheel `xgboost-cpu` keeps its library; the folder beside it holds the OpenMP runtime it needs.
const IN_WHEEL: &str = "xgboost/lib/libxgboost.so";

/// Where to look.
#[derive(Debug, Clone, Default)]
pub(crate) struct LibrarySearch {
    /// The shared object itself, when the operator names it: then nothing else is tried.
    pub(crate) file: Option<PathBuf>,
    /// The folder of native libraries, when it is not the usual one.
    pub(crate) native_dir: Option<PathBuf>,
}

impl LibrarySearch {
    /// The places, in the order they are tried.
    fn places(&self) -> Vec<PathBuf> {
        if let Some(file) = &self.file {
            return vec![file.clone()];
        }
        let usual = || std::env::home_dir().map(|home| home.join(".cache/clary"));
        let native = self.native_dir.clone().or_else(usual);
        let mut places: Vec<PathBuf> =
            native.into_iter().map(|dir| dir.join("xgboost").join(IN_WHEEL)).collect();
        places.push(Path::new("/opt/clary/native/xgboost").join(IN_WHEEL));
        places.push(PathBuf::from("libxgboost.so"));
        places
    }

    /// Loads the first library found.
    ///
    /// # Errors
    /// When there is none: the message lists the places and says how to get one.
    pub(crate) fn load(&self) -> Result<Arc<Library>, TrainError> {
        let mut tried = Vec::new();
        for place in self.places() {
            match Library::load(&place) {
                Ok(library) => return Ok(library),
                Err(error) => tried.push(format!("  {error}")),
            }
        }
        Err(TrainError::Internal(format!(
            "XGBoost's library was not found; tried\n{}\nGet it with `make native`, which unpacks the PyPI wheel \
             xgboost-cpu under ~/.cache/clary/xgboost, or name a libxgboost.so (1.7 or newer) with --xgboost-lib or \
             CLARY_XGBOOST_LIB",
            tried.join("\n")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_is_the_only_place() {
        let search = LibrarySearch { file: Some("/nonexistent/a.so".into()), native_dir: Some("/b".into()) };
        assert_eq!(search.places(), [Path::new("/nonexistent/a.so")]);
        let message = search.load().expect_err("no such file").to_string();
        for part in ["/nonexistent/a.so", "make native", "--xgboost-lib", "CLARY_XGBOOST_LIB"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }

    #[test]
    fn the_native_folder_comes_first() {
        let search = LibrarySearch { file: None, native_dir: Some("/n".into()) };
        assert_eq!(search.places()[0], Path::new("/n/xgboost/xgboost/lib/libxgboost.so"));
    }
}
