//! Where the output of an input goes.

use object_store::path::{self, Path};

/// What an output's key ends with.
pub const OUTPUT_SUFFIX: &str = ".out";

/// The key of the output of the input whose key, without what all inputs have in common, is `relative`. Bytes are kept as
/// they are: `+`, spaces, `%` and any Unicode.
///
/// # Errors
/// When the store cannot name such an object (an empty segment, `.` or `..`).
pub fn output_path(prefix: &Path, relative: &str) -> Result<Path, path::Error> {
    Path::parse(below(prefix, &format!("{relative}{OUTPUT_SUFFIX}")))
}

/// The key that is `relative` in `folder`, which may be all there is.
pub(crate) fn below(folder: &Path, relative: &str) -> String {
    let separator = if folder.as_ref().is_empty() { "" } else { "/" };
    format!("{folder}{separator}{relative}")
}

/// `key` as the store names it, or why it cannot: the name must be the key, byte for byte.
pub(super) fn exact_path(key: &str) -> Result<Path, String> {
    match Path::parse(key) {
        Ok(path) if path.as_ref() == key => Ok(path),
        Ok(_) => Err("expected a key without a slash at its start or end".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What of a string prefix is cut from the keys that begin with it: all up to its last slash.
pub(super) fn folder_of(prefix: &str) -> &str {
    prefix.rfind('/').map_or("", |slash| &prefix[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, key: &str, expected: Option<&str>) {
        let relative = key.strip_prefix(folder_of(prefix)).unwrap();
        let found = output_path(&Path::parse("out").unwrap(), relative).ok();
        assert_eq!(found.as_ref().map(Path::as_ref), expected);
    }

    #[test]
    fn keys_of_outputs() {
        check("in/", "in/a/x.csv", Some("out/a/x.csv.out"));
        check("in/x.csv", "in/x.csv", Some("out/x.csv.out"));
        check("in/x", "in/x/y/z", Some("out/x/y/z.out"));
        check("in", "in/x", Some("out/in/x.out"));
        check("", "in/x", Some("out/in/x.out"));
        check("in/", "in/x.csv.gz", Some("out/x.csv.gz.out"));
        check("in/", "in/a+b c%20ü~.csv", Some("out/a+b c%20ü~.csv.out"));
        check("in/", "in/a//b", None);
        check("in/", "in/../b", None);
    }

    #[test]
    fn a_bucket_without_a_prefix() {
        assert_eq!(output_path(&Path::default(), "x").unwrap().as_ref(), "x.out");
    }
}
