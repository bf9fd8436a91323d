//! Deployments as pure functions: what a `DeploymentConfig` asks for ([`Policy`]), how many instances of either fleet are
//! active at each step ([`traffic`]), and what comes next ([`machine`]). Time, health and alarms are passed in.

pub mod machine;
pub mod policy;
pub mod traffic;

pub use machine::{Next, Situation};
pub use policy::Policy;

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Map, json};

    use crate::control::endpoint::{Fleet, FleetConfig, VariantState};

    /// A fleet of `(variant, weight, instances)`.
    pub(crate) fn fleet(config: &str, variants: &[(&str, f64, u32)]) -> Fleet {
        let definitions: Vec<_> = variants
            .iter()
            .map(|(name, weight, count)| {
                json!({"VariantName": name, "ModelName": "m", "InitialVariantWeight": weight,
                    "InitialInstanceCount": count})
            })
            .collect();
        let variants = variants.iter().map(|&(name, weight, count)| VariantState {
            name: name.to_owned(),
            model: "m".to_owned(),
            is_shadow: false,
            current_weight: weight,
            desired_weight: weight,
            current_instance_count: count,
            desired_instance_count: count,
            current_serverless: None,
            desired_serverless: None,
            artifact: None,
            status: Vec::new(),
        });
        let mut document = Map::new();
        document.insert("ProductionVariants".to_owned(), json!(definitions));
        Fleet {
            id: i64::from(config == "green"),
            config: FleetConfig { name: config.to_owned(), config: document, models: Map::new() },
            variants: variants.collect(),
        }
    }
}
