//! The models that are trained beside each other: what a job leaves to `auto` is tried from a grid, in a fixed order.
//!
//! The first model has the values of the job and the plainest of the grid; then learning rates alternate fastest, then the
//! weights of positive rows, weight decay and L1. `num_models` takes so many from the front, and begins again (with other
//! first weights) beyond its end. `auto` is the whole grid for models of one output (32 where nothing is given), its part
//! without L1 for several classes, and fewer where weights would be more than [`WEIGHTS_MAX`].

use serde_json::{Value, json};

use crate::settings::{PositiveWeight, Rule, Settings};

const LEARNING_RATES_ADAM: [f64; 2] = [0.005, 0.1];
const LEARNING_RATES: [f64; 2] = [0.001, 0.01];
const DECAYS: [f64; 4] = [0.0, 1e-4, 1e-2, 1e-1];
const L1S: [f64; 4] = [0.0, 1e-5, 1e-3, 1e-2];
/// The most weights of all models that `num_models` auto leads to. Reason: a step touches them all, and 4 M take some ten
/// milliseconds.
const WEIGHTS_MAX: usize = 4 << 20;

/// What a model is trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) learning_rate: f64,
    pub(crate) wd: f64,
    pub(crate) l1: f64,
    /// The weight of positive rows.
    pub(crate) positive: f64,
}

/// The models of a job over `columns` features; `balance` is negatives by positives.
pub(crate) fn candidates(settings: &Settings, columns: usize, balance: f64) -> Vec<Candidate> {
    let rates = match settings.step.rule {
        Rule::Adam => LEARNING_RATES_ADAM,
        Rule::Sgd | Rule::RmsProp => LEARNING_RATES,
    };
    let rates = settings.learning_rate.map_or(rates.to_vec(), |rate| vec![rate]);
    let positives = match settings.positive_weight {
        PositiveWeight::Fixed(weight) => vec![weight],
        PositiveWeight::Balanced => vec![balance],
        PositiveWeight::Auto => vec![1.0, balance, balance.sqrt()],
    };
    let decays = settings.wd.map_or(DECAYS.to_vec(), |wd| vec![wd]);
    let l1s = settings.l1.map_or(L1S.to_vec(), |l1| vec![l1]);
    let mut all = Vec::new();
    for &l1 in &l1s {
        for &wd in &decays {
            for &positive in &positives {
                all.extend(rates.iter().map(|&learning_rate| Candidate { learning_rate, wd, l1, positive }));
            }
        }
    }
    let count = settings.models.unwrap_or_else(|| {
        let wanted = if settings.outputs > 1 { all.len() / l1s.len() } else { all.len() };
        let room = WEIGHTS_MAX / columns.saturating_mul(settings.outputs).max(1);
        wanted.min(room).max(1)
    });
    all.into_iter().cycle().take(count).collect()
}

impl Candidate {
    /// What `best_hyperparameters` and the log say of it.
    pub(crate) fn describe(&self, settings: &Settings) -> Value {
        let step = &settings.step;
        let mut described = json!({
            "optimizer": step.rule.name(),
            "learning_rate": self.learning_rate,
            "l1": self.l1,
            "wd": self.wd,
            "bias_lr_mult": step.bias_lr_mult,
            "bias_wd_mult": step.bias_wd_mult,
            "use_bias": step.use_bias,
        });
        let mut put = |name: &str, value: f64| described[name] = json!(value);
        match step.rule {
            Rule::Adam => {
                put("beta_1", step.beta_1);
                put("beta_2", step.beta_2);
            }
            Rule::Sgd => put("momentum", step.momentum),
            Rule::RmsProp => {}
        }
        if settings.is_binary() {
            put("positive_example_weight_mult", self.positive);
        }
        if let Some(schedule) = step.schedule {
            put("lr_scheduler_factor", schedule.factor);
            put("lr_scheduler_minimum_lr", schedule.minimum);
            described["lr_scheduler_step"] = json!(schedule.steps);
        }
        described
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use estimator::Hyperparameters;

    use super::*;
    use crate::table::TABLE;

    fn grid(given: &[(&str, &str)], columns: usize) -> Vec<Candidate> {
        let given: BTreeMap<String, String> =
            given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let values = Hyperparameters::resolve(TABLE, &given).expect("good values");
        candidates(&Settings::new(&values).expect("they fit together"), columns, 4.0)
    }

    #[test]
    fn what_is_given_is_not_tried() {
        let check = |given: &[(&str, &str)], columns, expected: usize| {
            let all = [&[("predictor_type", "binary_classifier")], given].concat();
            assert_eq!(grid(&all, columns).len(), expected, "{given:?}");
        };
        check(&[], 30, 32);
        check(&[("learning_rate", "0.3")], 30, 16);
        check(&[("learning_rate", "0.3"), ("wd", "0"), ("l1", "0.1")], 30, 1);
        check(&[("positive_example_weight_mult", "auto")], 30, 96);
        check(&[("num_models", "5")], 30, 5);
        check(&[("num_models", "40")], 30, 40);
        check(&[("_tuning_objective_metric", "validation:objective_loss")], 30, 1);
        check(&[], 1 << 20, 4);
        check(&[], 1 << 28, 1);
    }

    #[test]
    fn the_first_is_the_plainest() {
        let first = grid(&[("predictor_type", "regressor")], 3)[0];
        assert_eq!(first, Candidate { learning_rate: 0.005, wd: 0.0, l1: 0.0, positive: 1.0 });
        let sgd = grid(&[("predictor_type", "regressor"), ("optimizer", "sgd")], 3);
        assert_eq!((sgd[0].learning_rate, sgd[1].learning_rate), (0.001, 0.01));
        let balanced =
            grid(&[("predictor_type", "binary_classifier"), ("positive_example_weight_mult", "balanced")], 3);
        assert!(balanced.iter().all(|candidate| candidate.positive == 4.0));
        let classes = grid(&[("predictor_type", "multiclass_classifier"), ("num_classes", "3")], 3);
        assert!(classes.len() == 8 && classes.iter().all(|candidate| candidate.l1 == 0.0));
    }
}
