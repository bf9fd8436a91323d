//! The headers of an invocation, and the service's rules for them.

use wire::{AwsError, ErrorCode};

use crate::error::shortened;
use crate::faces::container::InvocationHeaders;

/// The longest names and ids of an invocation, as SageMaker Runtime has them.
const NAME_CHARS_MAX: usize = 63;
const ID_CHARS_MAX: usize = 64;
const SESSION_CHARS_MAX: usize = 256;
const TARGET_MODEL_CHARS_MAX: usize = 1024;

/// The headers of an invocation, as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuntimeHeaders<'a> {
    /// Those that the model sees.
    pub of_model: InvocationHeaders<'a>,
    /// `X-Amzn-SageMaker-Target-Variant`.
    pub target_variant: Option<&'a str>,
    /// `X-Amzn-SageMaker-Target-Model`.
    pub target_model: Option<&'a str>,
    /// `X-Amzn-SageMaker-Target-Container-Hostname`.
    pub target_container: Option<&'a str>,
    /// `X-Amzn-SageMaker-Inference-Component`.
    pub inference_component: Option<&'a str>,
    /// `X-Amzn-SageMaker-Inference-Id`.
    pub inference_id: Option<&'a str>,
    /// `X-Amzn-SageMaker-Enable-Explanations`.
    pub explanations: Option<&'a str>,
    /// `X-Amzn-SageMaker-Session-Id`.
    pub session_id: Option<&'a str>,
    /// `X-Amzn-SageMaker-Prefix-Aware-Id`: a hint for caches that copies of one model in one process do not have.
    pub prefix_aware_id: Option<&'a str>,
    /// `X-Clary-Assignment-Key`.
    pub assignment_key: Option<&'a str>,
}

impl RuntimeHeaders<'_> {
    /// Holds the headers to the service's rules, and refuses what is not served.
    pub(super) fn check(&self, endpoint: &str) -> Result<(), AwsError> {
        if let Some(name) = self.target_variant {
            check_name("targetVariant", name)?;
        }
        if let Some(name) = self.target_model {
            check_length("targetModel", name, TARGET_MODEL_CHARS_MAX)?;
        }
        if let Some(id) = self.inference_id {
            check_length("inferenceId", id, ID_CHARS_MAX)?;
        }
        if let Some(id) = self.prefix_aware_id {
            check_length("prefixAwareId", id, ID_CHARS_MAX)?;
        }
        if let Some(key) = self.assignment_key {
            check_length("assignmentKey", key, SESSION_CHARS_MAX)?;
        }
        self.check_served(endpoint)
    }

    /// What SageMaker serves and we do not.
    fn check_served(&self, endpoint: &str) -> Result<(), AwsError> {
        let refused = |what: String| Err(AwsError::new(ErrorCode::ValidationError, what));
        if let Some(name) = self.target_container {
            check_name("targetContainerHostname", name)?;
            return refused(format!(
                "Endpoint {endpoint} is not a multi-container endpoint and does not support target container hostname header."
            ));
        }
        if let Some(name) = self.inference_component {
            check_name("inferenceComponentName", name)?;
            return refused(format!("Inference Component {name} not found for Endpoint {endpoint}."));
        }
        if let Some(expression) = self.explanations {
            check_length("enableExplanations", expression, ID_CHARS_MAX)?;
            return refused(format!(
                "Endpoint {endpoint} has no explainer and does not support the enable explanations header."
            ));
        }
        if let Some(id) = self.session_id {
            check_length("sessionId", id, SESSION_CHARS_MAX)?;
            return refused(format!(
                "Endpoint {endpoint} has no stateful model and does not support the session id header."
            ));
        }
        Ok(())
    }
}

fn check_length(member: &str, value: &str, most: usize) -> Result<(), AwsError> {
    if value.is_empty() {
        return Err(violation(member, value, "Member must have length greater than or equal to 1"));
    }
    if value.len() > most {
        let constraint = format!("Member must have length less than or equal to {most}");
        return Err(violation(member, value, &constraint));
    }
    Ok(())
}

/// Letters and digits with hyphens between them.
fn check_name(member: &str, value: &str) -> Result<(), AwsError> {
    check_length(member, value, NAME_CHARS_MAX)?;
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain && !value.starts_with('-') && !value.ends_with('-') {
        return Ok(());
    }
    let constraint = "Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$";
    Err(violation(member, value, constraint))
}

fn violation(member: &str, value: &str, constraint: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{}' at '{member}' failed to satisfy constraint: {constraint}",
        shortened(value)
    );
    AwsError::new(ErrorCode::ValidationError, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: RuntimeHeaders<'_>, text: &str) {
        let error = headers.check("e").expect_err(text);
        assert_eq!(error.code, ErrorCode::ValidationError);
        assert!(error.message.contains(text), "{text} in {error}");
    }

    #[test]
    fn headers_are_held_to_the_services_rules() {
        let none = RuntimeHeaders::default();
        none.check("e").expect("nothing to refuse");
        let long = "x".repeat(1025);
        RuntimeHeaders { target_variant: Some("a-1"), inference_id: Some("i 1"), ..none }
            .check("e")
            .expect("fine");
        refused(
            RuntimeHeaders { target_variant: Some("a_1"), ..none },
            "1 validation error detected: Value 'a_1' at 'targetVariant' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
        );
        refused(RuntimeHeaders { target_variant: Some("a-"), ..none }, "regular expression");
        refused(RuntimeHeaders { target_variant: Some(&long[..64]), ..none }, "less than or equal to 63");
        refused(RuntimeHeaders { target_model: Some(""), ..none }, "greater than or equal to 1");
        refused(RuntimeHeaders { target_model: Some(&long), ..none }, "less than or equal to 1024");
        refused(RuntimeHeaders { inference_id: Some(&long[..65]), ..none }, "'inferenceId'");
        refused(RuntimeHeaders { prefix_aware_id: Some(""), ..none }, "'prefixAwareId'");
        refused(RuntimeHeaders { assignment_key: Some(&long[..257]), ..none }, "less than or equal to 256");
        refused(RuntimeHeaders { target_container: Some("b"), ..none }, "not a multi-container endpoint");
        refused(RuntimeHeaders { inference_component: Some("b"), ..none }, "Inference Component b not found");
        refused(RuntimeHeaders { explanations: Some("`true`"), ..none }, "no explainer");
        refused(RuntimeHeaders { session_id: Some("NEW_SESSION"), ..none }, "session id");
    }
}
