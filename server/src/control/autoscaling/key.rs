//! Which number of which variant is scaled: the resource and the dimension that name a scalable target.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::AutoscalingError;

/// The one namespace that is served.
pub const SERVICE_NAMESPACE: &str = "sagemaker";

/// `ScalableDimension`: what of a variant is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dimension {
    /// Instances.
    #[serde(rename = "sagemaker:variant:DesiredInstanceCount")]
    InstanceCount,
    /// A serverless variant's provisioned concurrency.
    #[serde(rename = "sagemaker:variant:DesiredProvisionedConcurrency")]
    ProvisionedConcurrency,
}

impl Dimension {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstanceCount => "sagemaker:variant:DesiredInstanceCount",
            Self::ProvisionedConcurrency => "sagemaker:variant:DesiredProvisionedConcurrency",
        }
    }

    /// By its name on the wire.
    ///
    /// # Errors
    /// When it is another.
    pub fn parse(text: &str) -> Result<Self, AutoscalingError> {
        [Self::InstanceCount, Self::ProvisionedConcurrency]
            .into_iter()
            .find(|dimension| dimension.as_str() == text)
            .ok_or_else(|| AutoscalingError::Dimension(text.to_owned()))
    }

    /// What an activity says is set.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::InstanceCount => "desired instance count",
            Self::ProvisionedConcurrency => "desired provisioned concurrency",
        }
    }
}

/// The key of a scalable target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TargetKey {
    /// The endpoint's name.
    pub endpoint: String,
    /// The variant's name.
    pub variant: String,
    /// What of it is scaled.
    pub dimension: Dimension,
}

impl TargetKey {
    /// From `endpoint/<e>/variant/<v>` and a dimension.
    ///
    /// # Errors
    /// When either is not one that is served here.
    pub fn parse(resource_id: &str, dimension: &str) -> Result<Self, AutoscalingError> {
        let dimension = Dimension::parse(dimension)?;
        let parts: Vec<&str> = resource_id.split('/').collect();
        match parts.as_slice() {
            ["endpoint", endpoint, "variant", variant] if !endpoint.is_empty() && !variant.is_empty() => {
                Ok(Self { endpoint: (*endpoint).to_owned(), variant: (*variant).to_owned(), dimension })
            }
            _ => Err(AutoscalingError::ResourceId(resource_id.to_owned())),
        }
    }

    /// `ResourceId`.
    pub fn resource_id(&self) -> String {
        format!("endpoint/{}/variant/{}", self.endpoint, self.variant)
    }

    /// What its record is called; the names of its policies and actions begin so.
    pub fn record_name(&self) -> String {
        format!("{}/{}", self.resource_id(), self.dimension.as_str())
    }

    /// What the record of its policy or action `name` is called. Names of neither hold a line break.
    pub fn record_name_of(&self, name: &str) -> String {
        format!("{}\n{name}", self.record_name())
    }
}

impl fmt::Display for TargetKey {
    /// As error texts of the service name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (resource, dimension) = (self.resource_id(), self.dimension.as_str());
        write!(
            f,
            "service namespace: {SERVICE_NAMESPACE}, resource ID: {resource}, scalable dimension: {dimension}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_written() {
        let key =
            TargetKey::parse("endpoint/e-1/variant/v-1", "sagemaker:variant:DesiredInstanceCount").unwrap();
        assert_eq!((key.endpoint.as_str(), key.variant.as_str()), ("e-1", "v-1"));
        assert_eq!(key.resource_id(), "endpoint/e-1/variant/v-1");
        let check = |resource: &str, dimension: &str, expected: &str| {
            let error = TargetKey::parse(resource, dimension).unwrap_err().to_string();
            assert!(error.contains(expected), "{resource} {dimension}: {error}");
        };
        let count = Dimension::InstanceCount.as_str();
        for wrong in
            ["", "endpoint/e", "endpoint//variant/v", "variant/v/endpoint/e", "endpoint/e/variant/v/x"]
        {
            check(wrong, count, "endpoint/<endpoint>/variant/<variant>");
        }
        check("inference-component/c", "sagemaker:inference-component:DesiredCopyCount", "is not served");
        check("endpoint/e/variant/v", "ecs:service:DesiredCount", "is not served");
    }
}
