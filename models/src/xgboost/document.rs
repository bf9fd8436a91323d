//! The model document of XGBoost 1.0 and later, the same in JSON and UBJSON: serde structures that name what is needed,
//! pass over the rest, and turn into a [`Booster`].

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::booster::{Boosted, Booster, Linear, Trees};
use super::tree_document::TreeList;

/// A model (`version`, `learner`), or the snapshot inside a pickle (`Model`, `Config`).
#[derive(Deserialize)]
pub(super) struct Document {
    version: Option<[u32; 3]>,
    learner: Option<Learner>,
    #[serde(rename = "Model")]
    model: Option<ModelDocument>,
}

#[derive(Deserialize)]
struct ModelDocument {
    version: Option<[u32; 3]>,
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    learner_model_param: LearnerModelParam,
    objective: Objective,
    gradient_booster: GradientBooster,
    #[serde(default)]
    attributes: Pairs,
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(default)]
    feature_types: Vec<String>,
}

/// Numbers as text, as XGBoost's parameters are.
#[derive(Deserialize)]
struct LearnerModelParam {
    base_score: String,
    num_class: String,
    num_feature: String,
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct GradientBooster {
    name: String,
    model: Option<BoosterModel>,
    /// dart before 3.4: the trees are one level down, their weights beside.
    gbtree: Option<TreeBooster>,
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct TreeBooster {
    model: BoosterModel,
}

/// The members of a tree model and of a linear one.
#[derive(Deserialize)]
struct BoosterModel {
    gbtree_model_param: Option<TreeModelParam>,
    trees: Option<TreeList>,
    tree_info: Option<Vec<u32>>,
    iteration_indptr: Option<Vec<u32>>,
    /// dart since 3.4, where it is a gbtree with weights; the trees past its end weigh 1.
    weight_drop: Option<Vec<f32>>,
    weights: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct TreeModelParam {
    num_trees: String,
    num_parallel_tree: Option<String>,
}

impl Document {
    pub(super) fn into_booster(self) -> Result<Booster, String> {
        let (version, learner) = match (self.learner, self.model) {
            (Some(learner), None) => (self.version, learner),
            (None, Some(model)) => (model.version, model.learner),
            (Some(_), Some(_)) => return Err("expected \"learner\" or \"Model\", found both".into()),
            (None, None) => return Err("expected a model with \"learner\", found none".into()),
        };
        let parameters = &learner.learner_model_param;
        let place = "learner.learner_model_param";
        Ok(Booster {
            version,
            num_feature: number(place, "num_feature", &parameters.num_feature)?,
            num_class: number(place, "num_class", &parameters.num_class)?,
            num_target: parameters
                .num_target
                .as_ref()
                .map_or(Ok(1), |text| number(place, "num_target", text))?
                .max(1),
            base_score: base_score(&parameters.base_score)?,
            base_score_is_margin: false,
            objective: learner.objective.name,
            objective_params: learner.objective.params,
            boosted: learner.gradient_booster.into_boosted()?,
            attributes: learner.attributes.0,
            feature_names: learner.feature_names,
            feature_types: learner.feature_types,
        })
    }
}

impl GradientBooster {
    fn into_boosted(self) -> Result<Boosted, String> {
        let missing = |member: &str| format!("learner.gradient_booster: expected {member:?}, found none");
        match self.name.as_str() {
            "gbtree" => self.model.ok_or_else(|| missing("model"))?.into_trees(None),
            "dart" => {
                let weights = self.weight_drop.ok_or_else(|| missing("weight_drop"))?;
                self.gbtree.ok_or_else(|| missing("gbtree"))?.model.into_trees(Some(weights))
            }
            "gblinear" => {
                let weights = self.model.and_then(|model| model.weights).ok_or_else(|| missing("weights"))?;
                Ok(Boosted::Linear(Linear { weights }))
            }
            other => Err(format!(
                "learner.gradient_booster.name: expected gbtree, dart or gblinear, found {other:?}"
            )),
        }
    }
}

impl BoosterModel {
    /// Trees, with the weights of a dart from before 3.4.
    fn into_trees(self, weights: Option<Vec<f32>>) -> Result<Boosted, String> {
        let place = "learner.gradient_booster.model";
        let missing = |member: &str| format!("{place}: expected {member:?}, found none");
        let parameters = self.gbtree_model_param.ok_or_else(|| missing("gbtree_model_param"))?;
        let trees = self.trees.ok_or_else(|| missing("trees"))?.0;
        let stated: usize = number(place, "num_trees", &parameters.num_trees)?;
        if stated != trees.len() {
            return Err(format!("{place}: num_trees says {stated} trees, found {}", trees.len()));
        }
        let mut weight_drop = weights.or(self.weight_drop).unwrap_or_default();
        if !weight_drop.is_empty() && weight_drop.len() < trees.len() {
            weight_drop.resize(trees.len(), 1.0);
        }
        let parallel = parameters.num_parallel_tree;
        Ok(Boosted::Trees(Trees {
            trees,
            groups: self.tree_info.ok_or_else(|| missing("tree_info"))?,
            weight_drop,
            num_parallel_tree: parallel
                .map_or(Ok(1), |text| number(place, "num_parallel_tree", &text))?
                .max(1),
            iteration_indptr: self.iteration_indptr.unwrap_or_default(),
        }))
    }
}

/// A whole number that the document holds as text.
pub(super) fn number<T: std::str::FromStr>(place: &str, name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{place}.{name}: expected a whole number in range, found {text:?}"))
}

/// `5E-1` up to 3.0, `[5E-1,2E-1]` since.
fn base_score(text: &str) -> Result<Vec<f32>, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parse = |item: &str| {
        let place = "learner.learner_model_param.base_score";
        item.trim()
            .parse::<f32>()
            .map_err(|_| format!("{place}: expected a number, found {item:?} in {text:?}"))
    };
    inner.split(',').map(parse).collect()
}

/// The objective's name, and every parameter found one level below it.
#[derive(Default)]
pub(super) struct Objective {
    pub(super) name: String,
    pub(super) params: Vec<(String, String)>,
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Objective;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an objective")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Objective, A::Error> {
                let mut objective = Objective::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "name" {
                        objective.name = map.next_value()?;
                    } else if key.ends_with("_param") {
                        objective.params.extend(map.next_value::<Pairs>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                objective.params.sort();
                Ok(objective)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// An object of text by name, ascending; a name comes once.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                pairs.sort();
                match pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    Some(twice) => {
                        Err(serde::de::Error::custom(format!("the name {:?} comes twice", twice[0].0)))
                    }
                    None => Ok(Pairs(pairs)),
                }
            }
        }
        deserializer.deserialize_map(Members)
    }
}
