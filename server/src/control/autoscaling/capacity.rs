//! A variant's number, as its endpoint's state has it: how many units serve, how many were asked for, and whether it may be
//! changed now.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Dimension, TargetKey};
use crate::control::endpoint::{EndpointState, EndpointStatus, VariantState};
use crate::control::record::{self, Kind};
use crate::control::{DesiredWeightAndCapacity, StateError};

/// A variant's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariantCapacity {
    /// In service.
    pub current: u32,
    /// Asked for.
    pub desired: u32,
    /// No change is under way, so that another may begin.
    pub is_settled: bool,
}

/// What there is behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The variant, with its units.
    Variant(VariantCapacity),
    /// The endpoint is there, but not (or not now) the variant, or it has no such dimension.
    NoVariant,
    /// The endpoint is gone, or about to be.
    NoEndpoint,
}

/// Reads the units behind `key`.
///
/// # Errors
/// When the state cannot be read.
pub fn find(connection: &Connection, key: &TargetKey) -> Result<Found, StateError> {
    let Some(record) = record::find(connection, Kind::Endpoint, &key.endpoint)? else {
        return Ok(Found::NoEndpoint);
    };
    let state = EndpointState::of_record(&record)?;
    if state.status == EndpointStatus::Deleting {
        return Ok(Found::NoEndpoint);
    }
    let variants = state.fleet.iter().flat_map(|fleet| &fleet.variants);
    let variant = variants.into_iter().find(|variant| variant.name == key.variant);
    let is_settled = state.status == EndpointStatus::InService && state.change.is_none();
    Ok(variant
        .and_then(|variant| units(variant, key.dimension))
        .map_or(Found::NoVariant, |(current, desired)| {
            Found::Variant(VariantCapacity { current, desired, is_settled })
        }))
}

fn units(variant: &VariantState, dimension: Dimension) -> Option<(u32, u32)> {
    match (dimension, &variant.current_serverless) {
        (Dimension::InstanceCount, None) => {
            Some((variant.current_instance_count, variant.desired_instance_count))
        }
        (Dimension::ProvisionedConcurrency, Some(current)) => {
            let current = provisioned(current);
            Some((current, variant.desired_serverless.as_ref().map_or(current, provisioned)))
        }
        _ => None,
    }
}

fn provisioned(config: &Value) -> u32 {
    let provisioned = config.get("ProvisionedConcurrency").and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(provisioned).unwrap_or(u32::MAX)
}

/// The change that asks for `capacity` units.
pub fn change(key: &TargetKey, capacity: u32) -> DesiredWeightAndCapacity {
    let none = DesiredWeightAndCapacity {
        variant: key.variant.clone(),
        weight: None,
        instance_count: None,
        serverless: None,
    };
    match key.dimension {
        Dimension::InstanceCount => DesiredWeightAndCapacity { instance_count: Some(capacity), ..none },
        Dimension::ProvisionedConcurrency => {
            let serverless = Some(json!({"ProvisionedConcurrency": capacity}));
            DesiredWeightAndCapacity { serverless, ..none }
        }
    }
}
