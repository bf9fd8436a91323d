//! Where an answer goes: `<S3OutputPath>/<inference id>.out`, or below it by the call's own extension and file name.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in a key as it is; the rest of an inference id (which may hold any printable character) is escaped, so that
/// two ids never share a key and none of them makes a folder.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'=').remove(b'+');

/// The two outcomes' addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// Of the answer.
    pub output: String,
    /// Of the reason, when there is none; `None` without an `S3FailurePath`.
    pub failure: Option<String>,
}

impl Locations {
    /// By the endpoint's `S3OutputPath` and `S3FailurePath`, and the call's `S3OutputPathExtension` and `Filename`.
    pub fn new(
        output_path: &str,
        failure_path: Option<&str>,
        inference_id: &str,
        extension: Option<&str>,
        file_name: Option<&str>,
    ) -> Self {
        let id = utf8_percent_encode(inference_id, ESCAPED).to_string();
        let below = |path: &str| match extension {
            None => path.trim_end_matches('/').to_owned(),
            Some(extension) => format!("{}/{}", path.trim_end_matches('/'), extension.trim_matches('/')),
        };
        let name = file_name.map_or_else(|| format!("{id}.out"), str::to_owned);
        let failure_name =
            file_name.map_or_else(|| format!("{id}-error.out"), |name| format!("{name}-error.out"));
        Self {
            output: format!("{}/{name}", below(output_path)),
            failure: failure_path.map(|path| format!("{}/{failure_name}", below(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, extension: Option<&str>, name: Option<&str>, output: &str, failure: &str) {
        let found = Locations::new("s3://b/out/", Some("s3://b/failed"), id, extension, name);
        assert_eq!((found.output.as_str(), found.failure.as_deref()), (output, Some(failure)));
    }

    #[test]
    fn an_answer_lies_below_the_endpoints_path() {
        check("i-1", None, None, "s3://b/out/i-1.out", "s3://b/failed/i-1-error.out");
        check("a/b c", None, None, "s3://b/out/a%2Fb%20c.out", "s3://b/failed/a%2Fb%20c-error.out");
        check("i", Some("/day/one/"), None, "s3://b/out/day/one/i.out", "s3://b/failed/day/one/i-error.out");
        check("i", Some("x"), Some("f.json"), "s3://b/out/x/f.json", "s3://b/failed/x/f.json-error.out");
        assert_eq!(Locations::new("s3://b", None, "i", None, None).failure, None);
        assert_eq!(Locations::new("s3://b", None, "i", None, None).output, "s3://b/i.out");
    }
}
