//! Where XGBoost's shared object is looked for, and what is said when it is nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ffi::Library;
use estimator::{NativeLibraries, TrainError};

/// Where the wheel `xgboost-cpu` keeps its library; the folder beside it holds the OpenMP runtime it needs.
const IN_WHEEL: &str = "xgboost/lib/libxgboost.so";

/// The places, in the order they are tried.
fn places(search: &NativeLibraries) -> Vec<PathBuf> {
    if let Some(file) = &search.xgboost {
        return vec![file.clone()];
    }
    let usual = || std::env::home_dir().map(|home| home.join(".cache/clary"));
    let native = search.folder.clone().or_else(usual);
    let mut places: Vec<PathBuf> = native.into_iter().map(|dir| dir.join("xgboost").join(IN_WHEEL)).collect();
    places.push(Path::new("/opt/clary/native/xgboost").join(IN_WHEEL));
    places.push(PathBuf::from("libxgboost.so"));
    places
}

/// Loads the first library found.
///
/// # Errors
/// When there is none: the message lists the places and says how to get one.
pub(crate) fn load(search: &NativeLibraries) -> Result<Arc<Library>, TrainError> {
    let mut tried = Vec::new();
    for place in places(search) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_is_the_only_place() {
        let search = NativeLibraries { xgboost: Some("/nonexistent/a.so".into()), folder: Some("/b".into()) };
        assert_eq!(places(&search), [Path::new("/nonexistent/a.so")]);
        let message = load(&search).expect_err("no such file").to_string();
        for part in ["/nonexistent/a.so", "make native", "--xgboost-lib", "CLARY_XGBOOST_LIB"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }

    #[test]
    fn the_native_folder_comes_first() {
        let search = NativeLibraries { xgboost: None, folder: Some("/n".into()) };
        assert_eq!(places(&search)[0], Path::new("/n/xgboost/xgboost/lib/libxgboost.so"));
    }
}
