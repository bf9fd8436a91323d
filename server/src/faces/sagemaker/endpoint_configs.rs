//! `CreateEndpointConfig`, `DescribeEndpointConfig`.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Map, Value};
use wire::Scope;

use super::refusal::Refusal;
use super::variant::Variant;
use super::{array, resource};
use crate::control::fleet::E_TAGS_MEMBER;
use crate::control::record::{self, Kind, Record};
use crate::faces::aws::Call;
use crate::platform::Platform;

/// Shadow variants of one configuration, which then has one production variant. Reason: AWS's.
const SHADOWS_MAX: usize = 1;

pub(super) async fn create(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    check(&call.input)?;
    let scope = call.scope.clone();
    let check_models = move |connection: &Connection, config: &Map<String, Value>| {
        // An asynchronous call has no TargetModel.
        let is_async = config.contains_key("AsyncInferenceConfig");
        variants(config).iter().try_for_each(|variant| check_model(connection, &scope, variant, is_async))
    };
    let mut call = call.clone();
    let e_tags = platform.control.e_tags(&call.input).await?;
    call.input.insert(E_TAGS_MEMBER.into(), e_tags.into());
    resource::create(platform, &call, Kind::EndpointConfig, check_models).await
}

pub(super) async fn describe(platform: &Arc<Platform>, call: &Call) -> Result<Value, Refusal> {
    let record = resource::find(platform, call, Kind::EndpointConfig).await?;
    Ok(Value::Object(description(record)))
}

/// What `DescribeEndpointConfig` says of a record.
fn description(record: Record) -> Map<String, Value> {
    let mut description = resource::description(record, Kind::EndpointConfig);
    description.remove(E_TAGS_MEMBER);
    description.entry("EnableNetworkIsolation").or_insert(Value::Bool(false));
    description
}

fn variants(config: &Map<String, Value>) -> Vec<Variant<'_>> {
    let of = |list, is_shadow| array(config, list).iter().filter_map(move |v| Variant::new(v, is_shadow));
    of("ProductionVariants", false).chain(of("ShadowProductionVariants", true)).collect()
}

/// Holds a configuration to what no shape says and no other resource decides.
fn check(config: &Map<String, Value>) -> Result<(), Refusal> {
    if config.contains_key("ExplainerConfig") {
        return Err(Refusal::validation(
            "ExplainerConfig: expected none: explanations are not served here, found one",
        ));
    }
    let variants = variants(config);
    let mut names = BTreeSet::new();
    for variant in &variants {
        variant.check()?;
        // Requests choose a variant by its name, in which case matters; resources do not differ by case alone.
        if !names.insert(variant.name.to_ascii_lowercase()) {
            return Err(variant.refused("expected each VariantName once, found it twice"));
        }
    }
    check_weights(&variants)?;
    check_shadows(config, &variants)?;
    check_asynchronous(config, &variants)?;
    check_capture(config)
}

fn check_weights(variants: &[Variant<'_>]) -> Result<(), Refusal> {
    if variants.iter().any(|variant| !variant.is_shadow && variant.weight() > 0.0) {
        return Ok(());
    }
    Err(Refusal::validation(
        "InitialVariantWeight: expected at least one production variant's above 0, found none",
    ))
}

fn check_shadows(config: &Map<String, Value>, variants: &[Variant<'_>]) -> Result<(), Refusal> {
    let shadows = variants.iter().filter(|variant| variant.is_shadow).count();
    let production: Vec<_> = variants.iter().filter(|variant| !variant.is_shadow).collect();
    if shadows == 0 {
        return Ok(());
    }
    if shadows > SHADOWS_MAX || production.len() != 1 {
        return Err(Refusal::validation(format!(
            "ShadowProductionVariants: expected at most {SHADOWS_MAX} beside exactly 1 production variant, found \
             {shadows} beside {}",
            production.len()
        )));
    }
    if config.contains_key("AsyncInferenceConfig") {
        return Err(Refusal::validation(
            "expected ShadowProductionVariants or AsyncInferenceConfig, found both",
        ));
    }
    if production.iter().any(|variant| variant.serverless().is_some()) {
        return Err(Refusal::validation(
            "ShadowProductionVariants: expected a production variant with instances, found a serverless one",
        ));
    }
    Ok(())
}

fn check_asynchronous(config: &Map<String, Value>, variants: &[Variant<'_>]) -> Result<(), Refusal> {
    let Some(asynchronous) = config.get("AsyncInferenceConfig") else { return Ok(()) };
    if let Some(variant) = variants.iter().find(|variant| variant.serverless().is_some()) {
        return Err(variant.refused("expected AsyncInferenceConfig or ServerlessConfig, found both"));
    }
    let output = &asynchronous["OutputConfig"];
    if output["S3OutputPath"].is_null() {
        return Err(Refusal::validation(
            "AsyncInferenceConfig: expected an S3OutputPath in OutputConfig, found none",
        ));
    }
    for member in ["S3OutputPath", "S3FailurePath"] {
        check_destination(&format!("AsyncInferenceConfig: {member}"), &output[member])?;
    }
    Ok(())
}

fn check_capture(config: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(capture) = config.get("DataCaptureConfig") else { return Ok(()) };
    check_destination("DataCaptureConfig: DestinationS3Uri", &capture["DestinationS3Uri"])
}

/// Where something is written to must be S3; the shapes also allow HTTPS.
fn check_destination(place: &str, url: &Value) -> Result<(), Refusal> {
    match url.as_str() {
        Some(url) if !url.starts_with("s3://") => {
            Err(Refusal::validation(format!("{place}: expected a URL that starts with s3://, found {url}")))
        }
        _ => Ok(()),
    }
}

fn check_model(
    connection: &Connection,
    scope: &Scope,
    variant: &Variant<'_>,
    is_async: bool,
) -> Result<(), Refusal> {
    let name = variant.model()?;
    let found = record::find(connection, Kind::Model, name)?;
    let model = found.ok_or_else(|| Refusal::not_found(scope, Kind::Model, name))?;
    let is_multi_model = model.document.get("PrimaryContainer").is_some_and(|c| c["Mode"] == "MultiModel");
    let what = match variant {
        _ if !is_multi_model => return Ok(()),
        variant if variant.is_shadow => "a shadow variant",
        variant if variant.serverless().is_some() => "a ServerlessConfig",
        _ if is_async => "an AsyncInferenceConfig",
        _ => return Ok(()),
    };
    Err(variant.refused(format!("expected a model of Mode SingleModel for {what}, found MultiModel")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variant(name: &str, weight: f64) -> Value {
        json!({"VariantName": name, "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
            "InitialVariantWeight": weight})
    }

    fn serverless(name: &str) -> Value {
        json!({"VariantName": name, "ModelName": "m", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}})
    }

    fn check_config(config: &Value, expected: &str) {
        let found = check(config.as_object().expect("an object"));
        let found = found.map_or_else(|Refusal(error)| error.message, |()| String::new());
        assert_eq!(found, expected, "{config}");
    }

    #[test]
    fn names_and_weights() {
        check_config(&json!({"ProductionVariants": [variant("A", 0.0), variant("B", 0.1)]}), "");
        let twice = "variant a: expected each VariantName once, found it twice";
        check_config(&json!({"ProductionVariants": [variant("A", 1.0), variant("a", 1.0)]}), twice);
        let none = "InitialVariantWeight: expected at least one production variant's above 0, found none";
        check_config(&json!({"ProductionVariants": [variant("A", 0.0), variant("B", 0.0)]}), none);
    }

    #[test]
    fn shadows() {
        let config = |production: &[Value], shadows: &[Value]| json!({"ProductionVariants": production, "ShadowProductionVariants": shadows});
        let of = |names: &[&str]| names.iter().map(|name| variant(name, 1.0)).collect::<Vec<_>>();
        let refused = |shadows, production| {
            format!(
                "ShadowProductionVariants: expected at most 1 beside exactly 1 production variant, found {shadows} beside {production}"
            )
        };
        check_config(&config(&of(&["A"]), &of(&["S"])), "");
        check_config(&config(&of(&["A", "B"]), &of(&["S"])), &refused(1, 2));
        check_config(&config(&of(&["A"]), &of(&["S", "T"])), &refused(2, 1));
        check_config(
            &config(&of(&["A"]), &of(&["A"])),
            "variant A: expected each VariantName once, found it twice",
        );
        let shadow_only = config(&[variant("A", 0.0)], &of(&["S"]));
        check_config(
            &shadow_only,
            "InitialVariantWeight: expected at least one production variant's above 0, found none",
        );
        let expected =
            "ShadowProductionVariants: expected a production variant with instances, found a serverless one";
        check_config(&config(&[serverless("A")], &of(&["S"])), expected);
    }

    #[test]
    fn asynchronous_inference_and_capture() {
        let with =
            |member: &str, value: Value| json!({"ProductionVariants": [variant("A", 1.0)], member: value});
        let output = |path: &str| json!({"OutputConfig": {"S3OutputPath": path}});
        check_config(&with("AsyncInferenceConfig", output("s3://b/p")), "");
        let https =
            "AsyncInferenceConfig: S3OutputPath: expected a URL that starts with s3://, found https://b/p";
        check_config(&with("AsyncInferenceConfig", output("https://b/p")), https);
        let pathless = "AsyncInferenceConfig: expected an S3OutputPath in OutputConfig, found none";
        check_config(&with("AsyncInferenceConfig", json!({"OutputConfig": {}})), pathless);
        let config =
            json!({"ProductionVariants": [serverless("A")], "AsyncInferenceConfig": output("s3://b/p")});
        check_config(&config, "variant A: expected AsyncInferenceConfig or ServerlessConfig, found both");
        let capture =
            "DataCaptureConfig: DestinationS3Uri: expected a URL that starts with s3://, found https://b";
        check_config(&with("DataCaptureConfig", json!({"DestinationS3Uri": "https://b"})), capture);
        let explainer = "ExplainerConfig: expected none: explanations are not served here, found one";
        check_config(&with("ExplainerConfig", json!({})), explainer);
    }
}
