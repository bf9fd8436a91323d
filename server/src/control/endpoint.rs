//! An endpoint's durable state: what serves, what should serve, and how far a change has come.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::Timestamp;

/// `EndpointStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointStatus {
    /// Its first fleet is being loaded.
    Creating,
    /// It serves.
    InService,
    /// It serves while it changes.
    Updating,
    /// It serves while a change is taken back.
    RollingBack,
    /// Its first fleet could not be loaded.
    Failed,
    /// A change could not be taken back; the old fleet serves.
    UpdateRollbackFailed,
    /// It is going away.
    Deleting,
    /// It served before a restart, and cannot be restored; it is tried again and again.
    OutOfService,
}

impl EndpointStatus {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::InService => "InService",
            Self::Updating => "Updating",
            Self::RollingBack => "RollingBack",
            Self::Failed => "Failed",
            Self::UpdateRollbackFailed => "UpdateRollbackFailed",
            Self::Deleting => "Deleting",
            Self::OutOfService => "OutOfService",
        }
    }

    /// Whether it takes invocations.
    pub const fn serves(self) -> bool {
        matches!(self, Self::InService | Self::Updating | Self::RollingBack | Self::UpdateRollbackFailed)
    }
}

/// A configuration with the models that it named, as they were when the endpoint took it: deleting either later does not
/// disturb the endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetConfig {
    /// The configuration's name.
    pub name: String,
    /// What `CreateEndpointConfig` was given.
    pub config: Map<String, Value>,
    /// By name, what `CreateModel` was given.
    pub models: Map<String, Value>,
}

/// A variant of a fleet, as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantState {
    /// Its name.
    pub name: String,
    /// Its model's name.
    pub model: String,
    /// Whether it only takes copies of requests.
    pub is_shadow: bool,
    /// Its weight now.
    pub current_weight: f64,
    /// Its weight when the change under way is done.
    pub desired_weight: f64,
    /// Its instances now.
    pub current_instance_count: u32,
    /// Its instances when the change under way is done.
    pub desired_instance_count: u32,
    /// Its `ServerlessConfig` now.
    pub current_serverless: Option<Value>,
    /// Its `ServerlessConfig` when the change under way is done.
    pub desired_serverless: Option<Value>,
    /// The artifact that it is held to; `None` until it is first loaded (and for many models).
    pub artifact: Option<PinnedArtifact>,
    /// `Creating`, `Updating`, `ActivatingTraffic`, `Baking`, `Deleting` with its message and start.
    pub status: Vec<VariantStatus>,
}

/// The bytes that a variant serves, whatever becomes of the object that they came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedArtifact {
    /// Where it came from.
    pub url: String,
    /// The object's ETag when the endpoint configuration was made, or when it was first loaded.
    pub e_tag: Option<String>,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// When the image was resolved.
    pub resolved: Timestamp,
}

/// A step of a variant's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantStatus {
    /// `Creating`, `Updating`, `Deleting`, `ActivatingTraffic` or `Baking`.
    pub status: String,
    /// For people.
    pub message: Option<String>,
    /// When it began.
    pub started: Timestamp,
}

/// A set of variants that serve one configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Tells it apart from every other fleet of its endpoint, earlier ones of the same configuration included.
    pub id: i64,
    /// Its configuration.
    pub config: FleetConfig,
    /// Its variants, production then shadow.
    pub variants: Vec<VariantState>,
}

/// An endpoint: the document of a [`Kind::Endpoint`](super::Kind::Endpoint) record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Where it stands.
    pub status: EndpointStatus,
    /// Why it stands there, when something failed.
    pub failure_reason: Option<String>,
    /// What serves; `None` while it is created for the first time. Of a failed creation, what should have served.
    pub fleet: Option<Fleet>,
    /// The change under way.
    pub change: Option<Change>,
    /// `DeploymentConfig` of the last deployment that had one.
    pub last_deployment_config: Option<Value>,
}

impl EndpointState {
    /// The fleet that is to serve, while it is on its way.
    pub fn pending(&self) -> Option<&Fleet> {
        match &self.change.as_ref()?.kind {
            ChangeKind::Deploy { fleet, .. } => Some(fleet),
            ChangeKind::Adjust | ChangeKind::Delete => None,
        }
    }
}

/// A change under way, and how far it has come: written before each step is taken, so that a restart goes on from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What it is.
    pub kind: ChangeKind,
    /// When it began.
    pub started: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

/// What an endpoint changes into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// A new fleet takes over from the old one (or is the first).
    Deploy {
        /// The new fleet.
        fleet: Box<Fleet>,
        /// `DeploymentConfig`; `None` is all at once without baking.
        deployment_config: Option<Value>,
    },
    /// The same fleet with other weights and counts: its variants' `desired_…`.
    Adjust,
    /// It goes away.
    Delete,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which phase.
    pub phase: Phase,
    /// The step of a canary, linear or rolling deployment.
    pub step: u32,
    /// When the phase began.
    pub since: Timestamp,
}

/// The phases of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The new fleet is fetched, loaded and warmed up.
    Provision,
    /// Its share of traffic grows.
    Shift,
    /// Alarms are watched at this share.
    Bake,
    /// The old fleet is kept warm.
    TerminationWait,
    /// The old fleet finishes its requests.
    Drain,
    /// The old fleet takes all traffic again.
    Rollback,
}
