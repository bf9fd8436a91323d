//! The names of resources: `arn:aws:sagemaker:<region>:<account>:<kind>/<name>`.

use std::fmt;

/// Where resources live: what all ARNs of one request share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `us-east-1`: from the request's credential scope, else as configured.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Scope {
    /// The ARN of SageMaker's `kind` (`model`, `endpoint`, `endpoint-config` …) named `name`.
    pub fn sagemaker(&self, kind: &str, name: &str) -> Arn {
        let Self { region, account } = self;
        Arn(format!("arn:aws:sagemaker:{region}:{account}:{kind}/{name}"))
    }
}

/// A resource's whole name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn(pub String);

impl Arn {
    /// `kind` and `name` of a SageMaker resource, whatever its region and account; `None` when it is not one.
    pub fn sagemaker_parts(text: &str) -> Option<(&str, &str)> {
        let mut parts = text.splitn(6, ':');
        let is_sagemaker =
            parts.next()? == "arn" && parts.next()?.starts_with("aws") && parts.next()? == "sagemaker";
        let (_region, _account) = (parts.next()?, parts.next()?);
        parts.next().filter(|_| is_sagemaker)?.split_once('/')
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_written_and_read() {
        let scope = Scope { region: "eu-west-1".into(), account: "000000000000".into() };
        let arn = scope.sagemaker("endpoint-config", "a-1");
        assert_eq!(arn.to_string(), "arn:aws:sagemaker:eu-west-1:000000000000:endpoint-config/a-1");
        assert_eq!(Arn::sagemaker_parts(&arn.0), Some(("endpoint-config", "a-1")));
        for wrong in ["", "arn:aws:s3:::b", "arn:aws:sagemaker:r:a:model", "x:aws:sagemaker:r:a:model/b"] {
            assert_eq!(Arn::sagemaker_parts(wrong), None, "{wrong}");
        }
    }
}
