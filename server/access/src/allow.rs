//! What a caller may do: lists of actions, endpoints and buckets, each a name or a pattern with `*`.

use serde::Deserialize;

/// What an action is done to, where the allow lists tell one from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An endpoint, by name.
    Endpoint(&'a str),
    /// A bucket, by name.
    Bucket(&'a str),
    /// Anything else: the action alone decides.
    Other,
}

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endpoint(name) => write!(f, "endpoint/{name}"),
            Self::Bucket(name) => write!(f, "arn:aws:s3:::{name}"),
            Self::Other => f.write_str("*"),
        }
    }
}

/// What one caller may do. A list that is left out is empty: it allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowList {
    /// Actions as IAM writes them: `sagemaker:InvokeEndpoint`, `s3:Get*`, `*`. Their case does not matter.
    pub actions: Vec<String>,
    /// Endpoints that they may be done to: `churn`, `team-a-*`.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Buckets that they may be done to.
    #[serde(default)]
    pub buckets: Vec<String>,
}

impl AllowList {
    /// Whether `action` on `resource` is allowed.
    pub fn allows(&self, action: &str, resource: Resource<'_>) -> bool {
        let is_in = |names: &[String], name: &str| names.iter().any(|pattern| matches(pattern, name, u8::eq));
        self.actions.iter().any(|pattern| matches(pattern, action, u8::eq_ignore_ascii_case))
            && match resource {
                Resource::Endpoint(name) => is_in(&self.endpoints, name),
                Resource::Bucket(name) => is_in(&self.buckets, name),
                Resource::Other => true,
            }
    }
}

/// Whether `pattern` is `text`, where `*` stands for anything.
///
/// A star takes as little as it can; when the rest does not fit, only the last star takes more: earlier ones need not.
fn matches(pattern: &str, text: &str, is_same: impl Fn(&u8, &u8) -> bool) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut in_text, mut star) = (0, 0, None);
    while in_text < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, in_text));
            at += 1;
        } else if pattern.get(at).is_some_and(|byte| is_same(byte, &text[in_text])) {
            at += 1;
            in_text += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, in_text) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern, text, u8::eq), expected, "{pattern:?} {text:?}");
    }

    #[test]
    fn stars_stand_for_anything() {
        check("", "", true);
        check("", "a", false);
        check("a", "a", true);
        check("a", "A", false);
        check("a", "ab", false);
        check("*", "", true);
        check("*", "abc", true);
        check("a*", "a", true);
        check("a*c", "abc", true);
        check("a*c", "abcd", false);
        check("*b*", "abc", true);
        check("*b*", "ac", false);
        check("a*b*c", "aXbYbZc", true);
        check("a**c", "ac", true);
        check("*.csv", "x.csv.csv", true);
    }

    #[test]
    fn all_lists_decide() {
        let allow = AllowList {
            actions: vec!["sagemaker:InvokeEndpoint".into(), "s3:Get*".into(), "logs:*".into()],
            endpoints: vec!["churn".into(), "team-a-*".into()],
            buckets: vec!["models".into()],
        };
        let check = |action, resource, expected| {
            assert_eq!(allow.allows(action, resource), expected, "{action} {resource}");
        };
        check("sagemaker:InvokeEndpoint", Resource::Endpoint("churn"), true);
        check("SageMaker:invokeendpoint", Resource::Endpoint("team-a-1"), true);
        check("sagemaker:InvokeEndpoint", Resource::Endpoint("team-b-1"), false);
        check("sagemaker:InvokeEndpointAsync", Resource::Endpoint("churn"), false);
        check("sagemaker:DeleteEndpoint", Resource::Endpoint("churn"), false);
        check("s3:GetObject", Resource::Bucket("models"), true);
        check("s3:GetObject", Resource::Bucket("Models"), false);
        check("s3:PutObject", Resource::Bucket("models"), false);
        check("logs:GetLogEvents", Resource::Other, true);
        check("sagemaker:ListModels", Resource::Other, false);
    }

    #[test]
    fn a_missing_list_allows_nothing() {
        let allow = AllowList { actions: vec!["*".into()], ..AllowList::default() };
        assert!(!allow.allows("sagemaker:InvokeEndpoint", Resource::Endpoint("a")));
        assert!(!allow.allows("s3:GetObject", Resource::Bucket("a")));
        assert!(allow.allows("sagemaker:ListModels", Resource::Other));
    }
}
