//! Which metric a policy follows: the predefined ones by their CloudWatch names, or any other.

use serde::{Deserialize, Serialize};

/// The namespace of an endpoint's metrics.
pub const NAMESPACE: &str = "AWS/SageMaker";

/// How the values of a period become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// Their mean.
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// How many there are.
    SampleCount,
    /// All together.
    Sum,
}

impl Statistic {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::SampleCount => "SampleCount",
            Self::Sum => "Sum",
        }
    }
}

/// `PredefinedMetricSpecification`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PredefinedMetric {
    /// Which one.
    pub predefined_metric_type: PredefinedMetricType,
}

/// The predefined metrics of variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PredefinedMetricType {
    /// Requests a minute and instance.
    SageMakerVariantInvocationsPerInstance,
    /// Requests in flight for each copy of the model, every ten seconds.
    SageMakerVariantConcurrentRequestsPerModelHighResolution,
    /// The share of a serverless variant's provisioned concurrency that is in use.
    SageMakerVariantProvisionedConcurrencyUtilization,
}

impl PredefinedMetricType {
    /// All that a variant can have, for tables and refusals.
    pub const ALL: [Self; 3] = [
        Self::SageMakerVariantInvocationsPerInstance,
        Self::SageMakerVariantConcurrentRequestsPerModelHighResolution,
        Self::SageMakerVariantProvisionedConcurrencyUtilization,
    ];

    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SageMakerVariantInvocationsPerInstance => "SageMakerVariantInvocationsPerInstance",
            Self::SageMakerVariantConcurrentRequestsPerModelHighResolution => {
                "SageMakerVariantConcurrentRequestsPerModelHighResolution"
            }
            Self::SageMakerVariantProvisionedConcurrencyUtilization => {
                "SageMakerVariantProvisionedConcurrencyUtilization"
            }
        }
    }

    /// The metric's name, its statistic, and the length of the periods that scale out.
    const fn metric(self) -> (&'static str, Statistic, u32) {
        match self {
            Self::SageMakerVariantInvocationsPerInstance => ("InvocationsPerInstance", Statistic::Sum, 60),
            Self::SageMakerVariantConcurrentRequestsPerModelHighResolution => {
                ("ConcurrentRequestsPerModel", Statistic::Average, 10)
            }
            Self::SageMakerVariantProvisionedConcurrencyUtilization => {
                ("ServerlessProvisionedConcurrencyUtilization", Statistic::Average, 60)
            }
        }
    }
}

/// `CustomizedMetricSpecification`: one metric; metric mathematics are not served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomizedMetric {
    /// Its name.
    pub metric_name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its dimensions, all of them.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
    /// How a period's values become one.
    pub statistic: Statistic,
    /// Its unit; echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A dimension of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What to ask a store of series for.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricQuery {
    /// The namespace.
    pub namespace: String,
    /// The metric.
    pub name: String,
    /// All its dimensions.
    pub dimensions: Vec<Dimension>,
    /// How a period's values become one.
    pub statistic: Statistic,
    /// The length of the periods that scale out.
    pub period_seconds: u32,
}

impl MetricQuery {
    /// A predefined metric of a variant.
    pub fn predefined(kind: PredefinedMetricType, endpoint: &str, variant: &str) -> Self {
        let (name, statistic, period_seconds) = kind.metric();
        let dimension = |name: &str, value: &str| Dimension { name: name.into(), value: value.into() };
        let dimensions = vec![dimension("EndpointName", endpoint), dimension("VariantName", variant)];
        Self { namespace: NAMESPACE.into(), name: name.into(), dimensions, statistic, period_seconds }
    }

    /// Any metric, by the minute.
    pub fn customized(metric: &CustomizedMetric) -> Self {
        let CustomizedMetric { metric_name, namespace, dimensions, statistic, .. } = metric;
        Self {
            namespace: namespace.clone(),
            name: metric_name.clone(),
            dimensions: dimensions.clone(),
            statistic: *statistic,
            period_seconds: 60,
        }
    }
}
