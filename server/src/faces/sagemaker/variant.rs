//! What a production or shadow variant of an endpoint configuration may be.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Serverless memory comes in steps. Reason: AWS's.
const SERVERLESS_MEMORY_STEP_MB: i64 = 1024;

/// A variant's definition and where it stands.
#[derive(Debug)]
pub(super) struct Variant<'a> {
    definition: &'a Map<String, Value>,
    pub(super) name: &'a str,
    pub(super) is_shadow: bool,
}

impl<'a> Variant<'a> {
    /// `None` when it has no name, which its shape requires.
    pub(super) fn new(definition: &'a Value, is_shadow: bool) -> Option<Self> {
        let definition = definition.as_object()?;
        let name = definition.get("VariantName")?.as_str()?;
        Some(Self { definition, name, is_shadow })
    }

    fn has(&self, member: &str) -> bool {
        self.definition.contains_key(member)
    }

    /// Its model's name.
    pub(super) fn model(&self) -> Result<&'a str, Refusal> {
        let name = self.definition.get("ModelName").and_then(Value::as_str);
        name.ok_or_else(|| {
            self.refused("expected a ModelName, found none: inference components are not served here")
        })
    }

    /// Its share of the draws.
    pub(super) fn weight(&self) -> f64 {
        self.definition.get("InitialVariantWeight").and_then(Value::as_f64).unwrap_or(1.0)
    }

    /// `ServerlessConfig`.
    pub(super) fn serverless(&self) -> Option<&'a Map<String, Value>> {
        self.definition.get("ServerlessConfig")?.as_object()
    }

    /// Holds it to the rules between its members.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.model()?;
        self.check_scaling()?;
        match self.serverless() {
            Some(serverless) => self.check_serverless(serverless),
            None => self.check_instances(),
        }
    }

    fn check_instances(&self) -> Result<(), Refusal> {
        if !self.has("InitialInstanceCount") {
            return Err(self.refused("expected an InitialInstanceCount or a ServerlessConfig, found neither"));
        }
        if !self.has("InstanceType") && !self.has("InstancePools") {
            return Err(self.refused("expected an InstanceType or a ServerlessConfig, found neither"));
        }
        Ok(())
    }

    fn check_serverless(&self, serverless: &Map<String, Value>) -> Result<(), Refusal> {
        let excluded = ["InstanceType", "InitialInstanceCount", "InstancePools", "ManagedInstanceScaling"];
        if let Some(member) = excluded.into_iter().find(|member| self.has(member)) {
            return Err(self.refused(format!("expected ServerlessConfig or {member}, found both")));
        }
        if self.is_shadow {
            return Err(self.refused("expected a shadow variant with instances, found a ServerlessConfig"));
        }
        let number = |member: &str| serverless.get(member).and_then(Value::as_i64);
        if let Some(memory) =
            number("MemorySizeInMB").filter(|memory| memory % SERVERLESS_MEMORY_STEP_MB != 0)
        {
            return Err(self.refused(format!(
                "MemorySizeInMB: expected a multiple of {SERVERLESS_MEMORY_STEP_MB}, found {memory}"
            )));
        }
        match (number("ProvisionedConcurrency"), number("MaxConcurrency")) {
            (Some(provisioned), Some(max)) if provisioned > max => Err(self.refused(format!(
                "ProvisionedConcurrency: expected at most MaxConcurrency ({max}), found {provisioned}"
            ))),
            _ => Ok(()),
        }
    }

    fn check_scaling(&self) -> Result<(), Refusal> {
        let number = |member: &str| self.definition.get("ManagedInstanceScaling")?.get(member)?.as_i64();
        match (number("MinInstanceCount"), number("MaxInstanceCount")) {
            (Some(min), Some(max)) if min > max => Err(self.refused(format!(
                "ManagedInstanceScaling: expected MinInstanceCount of at most MaxInstanceCount ({max}), found {min}"
            ))),
            _ => Ok(()),
        }
    }

    /// A refusal that names it.
    pub(super) fn refused(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::validation(format!("variant {}: {what}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A variant of instances with `more`, which wins; `null` takes away.
    fn check(more: &Value, is_shadow: bool, expected: &str) {
        let mut definition = json!({"VariantName": "A", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1});
        let members = definition.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        members.retain(|_, value| !value.is_null());
        let variant = Variant::new(&definition, is_shadow).expect("a name");
        let found = variant.check().map_or_else(|Refusal(error)| error.message, |()| String::new());
        assert_eq!(found, if expected.is_empty() { String::new() } else { format!("variant A: {expected}") });
    }

    fn serverless(more: &Value) -> Value {
        let mut config = json!({"MemorySizeInMB": 2048, "MaxConcurrency": 5});
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"InstanceType": null, "InitialInstanceCount": null, "ServerlessConfig": config})
    }

    #[test]
    fn instances_or_serverless() {
        check(&json!({}), false, "");
        check(&json!({}), true, "");
        check(&serverless(&json!({})), false, "");
        check(
            &json!({"InstanceType": null}),
            false,
            "expected an InstanceType or a ServerlessConfig, found neither",
        );
        let count = "expected an InitialInstanceCount or a ServerlessConfig, found neither";
        check(&json!({"InitialInstanceCount": null}), false, count);
        let config = json!({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}});
        check(&config, false, "expected ServerlessConfig or InstanceType, found both");
        let shadow = "expected a shadow variant with instances, found a ServerlessConfig";
        check(&serverless(&json!({})), true, shadow);
    }

    #[test]
    fn numbers_that_hold_each_other() {
        let memory = "MemorySizeInMB: expected a multiple of 1024, found 1500";
        check(&serverless(&json!({"MemorySizeInMB": 1500})), false, memory);
        check(&serverless(&json!({"ProvisionedConcurrency": 5})), false, "");
        let provisioned = "ProvisionedConcurrency: expected at most MaxConcurrency (5), found 6";
        check(&serverless(&json!({"ProvisionedConcurrency": 6})), false, provisioned);
        let scaling = |min: i64, max: i64| json!({"ManagedInstanceScaling": {"MinInstanceCount": min, "MaxInstanceCount": max}});
        check(&scaling(1, 2), false, "");
        let least =
            "ManagedInstanceScaling: expected MinInstanceCount of at most MaxInstanceCount (1), found 2";
        check(&scaling(2, 1), false, least);
    }

    #[test]
    fn a_variant_has_a_model() {
        let expected = "expected a ModelName, found none: inference components are not served here";
        check(&json!({"ModelName": null}), false, expected);
    }
}
