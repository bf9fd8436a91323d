//! What a container definition may be.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// A container definition and where it stands.
#[derive(Debug)]
pub(super) struct Container<'a> {
    place: String,
    definition: &'a Map<String, Value>,
}

/// Where a container's model comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModelData<'a> {
    /// `s3://bucket/key`.
    pub(super) url: &'a str,
    /// Whether it is all objects below it rather than one.
    pub(super) is_prefix: bool,
}

impl<'a> Container<'a> {
    pub(super) const fn new(place: String, definition: &'a Map<String, Value>) -> Self {
        Self { place, definition }
    }

    fn text(&self, member: &str) -> Option<&'a str> {
        self.definition.get(member).and_then(Value::as_str)
    }

    /// `ContainerHostname`.
    pub(super) fn hostname(&self) -> Option<&'a str> {
        self.text("ContainerHostname")
    }

    /// Whether requests name one of many models (`TargetModel`).
    fn is_multi_model(&self) -> bool {
        self.text("Mode") == Some("MultiModel")
    }

    fn s3_source(&self) -> Option<&'a Map<String, Value>> {
        self.definition.get("ModelDataSource")?.get("S3DataSource")?.as_object()
    }

    /// Holds it to the rules between its members.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        for (member, what) in NOT_SERVED {
            if self.definition.contains_key(*member) {
                return Err(
                    self.refused(format!("expected none: {what} not served here, found one in {member}"))
                );
            }
        }
        if self.text("Image").is_none() {
            return Err(self.refused("expected an Image, found none"));
        }
        if self.text("ModelDataUrl").is_some() && self.definition.contains_key("ModelDataSource") {
            return Err(self.refused("expected ModelDataUrl or ModelDataSource, found both"));
        }
        if self.definition.contains_key("ModelDataSource") && self.s3_source().is_none() {
            return Err(self.refused("expected an S3DataSource in ModelDataSource, found none"));
        }
        if self.is_multi_model() {
            if self.text("ModelDataUrl").is_none() && self.s3_source().is_none() {
                return Err(self.refused(
                    "Mode MultiModel expects a ModelDataUrl that its models lie under, found none",
                ));
            }
        } else if self.definition.contains_key("MultiModelConfig") {
            return Err(
                self.refused("expected MultiModelConfig with Mode MultiModel only, found Mode SingleModel")
            );
        }
        Ok(())
    }

    /// What has to be there when the model is made: nothing of a container of many models, or of none.
    pub(super) fn model_data(&self) -> Result<Option<ModelData<'a>>, Refusal> {
        if self.is_multi_model() {
            return Ok(None);
        }
        if let Some(url) = self.text("ModelDataUrl") {
            return Ok(Some(ModelData { url, is_prefix: false }));
        }
        let Some(source) = self.s3_source() else { return Ok(None) };
        let text = |member: &str| source.get(member).and_then(Value::as_str);
        let url =
            text("S3Uri").ok_or_else(|| self.refused("expected an S3Uri in S3DataSource, found none"))?;
        Ok(Some(ModelData { url, is_prefix: text("S3DataType") == Some("S3Prefix") }))
    }

    fn refused(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::validation(format!("{}: {what}", self.place))
    }
}

/// Members that ask for what there is not.
const NOT_SERVED: &[(&str, &str)] = &[
    ("ModelPackageName", "model packages are"),
    ("InferenceSpecificationName", "model packages are"),
    ("AdditionalModelDataSources", "several artifacts of one container are"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(definition: &Value, expected: &str) {
        let definition = definition.as_object().expect("an object");
        let container = Container::new("PrimaryContainer".into(), definition);
        let found = container.check().map_or_else(|Refusal(error)| error.message, |()| String::new());
        assert_eq!(
            found,
            if expected.is_empty() { String::new() } else { format!("PrimaryContainer: {expected}") }
        );
    }

    fn check_data(definition: &Value, expected: Option<(&str, bool)>) {
        let container = Container::new(String::new(), definition.as_object().expect("an object"));
        let found = container.model_data().expect("data");
        assert_eq!(found.map(|data| (data.url, data.is_prefix)), expected, "{definition}");
    }

    #[test]
    fn the_rules_between_its_members() {
        let s3 = json!({"S3DataSource": {"S3Uri": "s3://b/k", "S3DataType": "S3Object", "CompressionType": "Gzip"}});
        check(&json!({"Image": "i"}), "");
        check(&json!({"Image": "i", "ModelDataUrl": "s3://b/k", "Mode": "SingleModel"}), "");
        check(&json!({"Image": "i", "ModelDataSource": s3}), "");
        check(
            &json!({"Image": "i", "Mode": "MultiModel", "ModelDataUrl": "s3://b/p/", "MultiModelConfig": {}}),
            "",
        );
        check(&json!({}), "expected an Image, found none");
        let both = json!({"Image": "i", "ModelDataUrl": "s3://b/k", "ModelDataSource": s3});
        check(&both, "expected ModelDataUrl or ModelDataSource, found both");
        check(
            &json!({"Image": "i", "ModelDataSource": {}}),
            "expected an S3DataSource in ModelDataSource, found none",
        );
        let package = json!({"ModelPackageName": "p"});
        check(&package, "expected none: model packages are not served here, found one in ModelPackageName");
        let rootless = json!({"Image": "i", "Mode": "MultiModel"});
        check(&rootless, "Mode MultiModel expects a ModelDataUrl that its models lie under, found none");
        let config = json!({"Image": "i", "MultiModelConfig": {"ModelCacheSetting": "Enabled"}});
        check(&config, "expected MultiModelConfig with Mode MultiModel only, found Mode SingleModel");
    }

    #[test]
    fn its_data() {
        let source = |kind: &str| json!({"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/p", "S3DataType": kind}}});
        check_data(&json!({}), None);
        check_data(&json!({"ModelDataUrl": "s3://b/k"}), Some(("s3://b/k", false)));
        check_data(&json!({"ModelDataUrl": "s3://b/k", "Mode": "MultiModel"}), None);
        check_data(&source("S3Object"), Some(("s3://b/p", false)));
        check_data(&source("S3Prefix"), Some(("s3://b/p", true)));
    }
}
