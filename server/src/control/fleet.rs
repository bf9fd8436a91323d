//! From an endpoint configuration and its models to a fleet: the variants with their first weights and counts, and what
//! they keep of the fleet that they replace.

use rusqlite::Connection;
use serde_json::{Map, Value};

use super::endpoint::{Fleet, FleetConfig, VariantState};
use super::record::{self, Kind};
use super::{ControlError, StateError};

/// The member of a stored endpoint configuration that says, by variant, which ETag the variant's artifact had when the
/// configuration was made. Ours, and not shown.
pub const E_TAGS_MEMBER: &str = "ClaryETags";

/// The properties of a variant that an update may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariantProperty {
    /// Its instances.
    DesiredInstanceCount,
    /// Its weight.
    DesiredWeight,
    /// Its data capture, which always comes from the new configuration.
    DataCaptureConfig,
}

impl VariantProperty {
    /// From `VariantPropertyType`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "DesiredInstanceCount" => Some(Self::DesiredInstanceCount),
            "DesiredWeight" => Some(Self::DesiredWeight),
            "DataCaptureConfig" => Some(Self::DataCaptureConfig),
            _ => None,
        }
    }
}

impl FleetConfig {
    /// The ETag that the artifact of `variant` had when the configuration was made.
    pub fn e_tag(&self, variant: &str) -> Option<&str> {
        self.config.get(E_TAGS_MEMBER)?.get(variant)?.as_str()
    }
}

impl Fleet {
    /// The fleet of the stored configuration `config_name`, with a copy of it and of its models.
    ///
    /// # Errors
    /// When either does not exist, or what it asks for is not served.
    pub(super) fn of_config(
        connection: &Connection,
        config_name: &str,
        id: i64,
    ) -> Result<Self, ControlError> {
        let found = record::find(connection, Kind::EndpointConfig, config_name)?;
        let found = found.ok_or_else(|| ControlError::NoEndpointConfig(config_name.to_owned()))?;
        let mut fleet = Self {
            id,
            config: FleetConfig { name: found.name, config: found.document, models: Map::new() },
            variants: Vec::new(),
        };
        fleet.variants = variants(&fleet.config.config)?;
        for variant in &fleet.variants {
            let model = record::find(connection, Kind::Model, &variant.model)?;
            let model = model.ok_or_else(|| ControlError::NoModel(variant.model.clone()))?;
            fleet.config.models.insert(variant.model.clone(), Value::Object(model.document));
        }
        fleet.check_weights()?;
        Ok(fleet)
    }

    /// Takes counts and weights over from the variants of `current` that have the same names, `exclude`d ones excepted.
    ///
    /// # Errors
    /// When no weight is left.
    pub(super) fn retain(&mut self, current: &Self, exclude: &[VariantProperty]) -> Result<(), ControlError> {
        for variant in &mut self.variants {
            let Some(old) = current.variant(&variant.name).filter(|old| old.is_shadow == variant.is_shadow)
            else {
                continue;
            };
            if !exclude.contains(&VariantProperty::DesiredWeight) {
                variant.current_weight = old.current_weight;
                variant.desired_weight = old.current_weight;
            }
            // A serverless variant has no instances, on either side.
            let has_instances = variant.current_serverless.is_none() && old.current_serverless.is_none();
            if has_instances && !exclude.contains(&VariantProperty::DesiredInstanceCount) {
                variant.desired_instance_count = old.desired_instance_count;
            }
        }
        self.check_weights()
    }

    /// The variant of this name.
    pub fn variant(&self, name: &str) -> Option<&VariantState> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The variants that take requests.
    pub fn production(&self) -> impl Iterator<Item = &VariantState> {
        self.variants.iter().filter(|variant| !variant.is_shadow)
    }

    /// What the configuration says of a variant.
    pub fn definition(&self, name: &str) -> Option<&Map<String, Value>> {
        let of = |list: &str| self.config.config.get(list).and_then(Value::as_array);
        let all = of("ProductionVariants").into_iter().chain(of("ShadowProductionVariants")).flatten();
        all.filter_map(Value::as_object).find(|variant| variant.get("VariantName").is_some_and(|v| v == name))
    }

    /// Whether its endpoint takes asynchronous calls only.
    pub fn is_asynchronous(&self) -> bool {
        self.config.config.contains_key("AsyncInferenceConfig")
    }

    /// # Errors
    /// When no production variant can be drawn.
    pub(super) fn check_weights(&self) -> Result<(), ControlError> {
        if self.production().any(|variant| variant.desired_weight > 0.0) {
            return Ok(());
        }
        Err(ControlError::Refused(format!(
            "endpoint configuration {}: at least one production variant's weight must be above 0, found none",
            self.config.name
        )))
    }
}

fn variants(config: &Map<String, Value>) -> Result<Vec<VariantState>, ControlError> {
    let mut variants = Vec::new();
    for (list, is_shadow) in [("ProductionVariants", false), ("ShadowProductionVariants", true)] {
        for variant in config.get(list).and_then(Value::as_array).into_iter().flatten() {
            variants.push(variant_state(variant, is_shadow)?);
        }
    }
    if variants.iter().all(|variant| variant.is_shadow) {
        return Err(ControlError::Refused("ProductionVariants: expected at least one, found none".into()));
    }
    Ok(variants)
}

fn variant_state(variant: &Value, is_shadow: bool) -> Result<VariantState, ControlError> {
    let text = |member: &str| variant.get(member).and_then(Value::as_str).map(str::to_owned);
    let name = text("VariantName").ok_or_else(|| missing("VariantName"))?;
    let model = text("ModelName").ok_or_else(|| {
        ControlError::Refused(format!(
            "variant {name}: expected a ModelName, found none: inference components are not served"
        ))
    })?;
    let weight = variant.get("InitialVariantWeight").and_then(Value::as_f64).unwrap_or(1.0);
    let serverless = variant.get("ServerlessConfig").cloned();
    let count = variant.get("InitialInstanceCount").and_then(Value::as_u64);
    // A serverless variant counts as one place to answer from.
    let count = u32::try_from(count.unwrap_or(1)).unwrap_or(u32::MAX);
    Ok(VariantState {
        name,
        model,
        is_shadow,
        current_weight: weight,
        desired_weight: weight,
        current_instance_count: 0,
        desired_instance_count: if serverless.is_some() { 0 } else { count },
        current_serverless: serverless.clone(),
        desired_serverless: serverless,
        artifact: None,
        status: Vec::new(),
    })
}

fn missing(member: &str) -> ControlError {
    ControlError::State(StateError::Document(serde::de::Error::custom(format!(
        "endpoint configuration: expected {member}, found none"
    ))))
}
