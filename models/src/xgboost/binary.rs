//! The binary format of XGBoost up to 3.0 (`save_model` to any name but `.json` and `.ubj`): C structures one after the
//! other, little-endian.
//!
//! The versions differ in few places, told apart by the `major_version` field (zero before 1.0):
//!
//! | | before 1.0 | 1.0 to 3.0 |
//! |---|---|---|
//! | `binf` before the header | no | since 1.2 |
//! | base score | a margin | in output space |
//! | objective's parameters | none but poisson's `max_delta_step`, after the attributes | JSON in the attribute `objective` |
//! | metrics | a list at the end | text in the attribute `metrics` |
//!
//! (The layout is that of dmlc/xgboost `src/learner.cc`, `src/gbm/*_model.h`, `include/xgboost/tree_model.h`.)

use super::booster::{Boosted, Booster, Linear, NODE_DELETED, Tree, Trees};
use super::document::Objective;
use super::json;

const MAGIC: &[u8] = b"binf";
/// `LearnerModelParam`: 34 words of 4 bytes.
const HEADER_BYTES: usize = 136;
/// `GBTreeModelParam`: 40 words.
const TREE_MODEL_PARAM_BYTES: usize = 160;
/// `GBLinearModelParam`: 34 words.
const LINEAR_MODEL_PARAM_BYTES: usize = 136;
/// `TreeParam`: 37 words.
const TREE_PARAM_BYTES: usize = 148;
/// `RegTree::Node`: parent, left, right, split index, value.
const NODE_BYTES: usize = 20;
/// `RTreeNodeStat`: three floats and a count, none of use to a prediction.
const STAT_BYTES: usize = 16;
/// Longest name of an objective or booster; XGBoost's longest is 20.
const NAME_BYTES_MAX: u64 = 64;
/// Attributes that XGBoost writes for itself.
const OWN_ATTRIBUTES: [&str; 3] = ["objective", "metrics", "count_poisson_max_delta_step"];

/// Whether `bytes` are this format: `binf`, or (before 1.2) a header followed by the names of an objective and of a
/// booster, which is as distinctive.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    if bytes.starts_with(MAGIC) {
        return true;
    }
    let mut cursor = Cursor { bytes, at: 0 };
    let names = cursor.take(HEADER_BYTES, "a header").and_then(|_| Ok((cursor.name()?, cursor.name()?)));
    matches!(names, Ok((objective, "gbtree" | "dart" | "gblinear")) if objective.contains(':'))
}

/// Reads a model that takes all of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Booster, String> {
    let mut cursor = Cursor { bytes, at: if bytes.starts_with(MAGIC) { MAGIC.len() } else { 0 } };
    let booster =
        cursor.booster().map_err(|reason| format!("binary model: {reason} (at byte {})", cursor.at))?;
    match bytes.len() - cursor.at {
        0 => Ok(booster),
        left => Err(format!("binary model: expected the end at byte {}, found {left} more bytes", cursor.at)),
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fields of `LearnerModelParam` that are of use.
struct Header {
    base_score: f32,
    num_feature: u32,
    num_class: u32,
    has_attributes: bool,
    has_metrics: bool,
    major: u32,
    minor: u32,
    num_target: u32,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], String> {
        let left = self.bytes.len() - self.at;
        if count > left {
            return Err(format!("expected {count} bytes of {what}, found {left}"));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// `count` things of `size` bytes.
    fn take_array(&mut self, count: usize, size: usize, what: &str) -> Result<&'a [u8], String> {
        let bytes = count.checked_mul(size).ok_or_else(|| format!("{count} {what} are too many"))?;
        self.take(bytes, what)
    }

    fn length(&mut self, what: &str) -> Result<usize, String> {
        let bytes = self.take(8, what)?.try_into().expect("take gives what was asked");
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| format!("{what} is too long"))
    }

    fn text(&mut self, what: &str) -> Result<&'a str, String> {
        let length = self.length(what)?;
        std::str::from_utf8(self.take(length, what)?).map_err(|_| format!("{what} is not UTF-8"))
    }

    /// The name of an objective or a booster.
    fn name(&mut self) -> Result<&'a str, String> {
        let name = self.text("a name")?;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":_".contains(&byte);
        if name.is_empty() || name.len() as u64 > NAME_BYTES_MAX || !name.bytes().all(is_name) {
            return Err("expected the name of an objective or booster, found other bytes".into());
        }
        Ok(name)
    }

    fn floats(&mut self, what: &str) -> Result<Vec<f32>, String> {
        let count = self.length(what)?;
        let bytes = self.take_array(count, 4, what)?;
        Ok(words(bytes).map(f32::from_bits).collect())
    }

    fn header(&mut self) -> Result<Header, String> {
        let words: Vec<u32> = words(self.take(HEADER_BYTES, "the header")?).collect();
        let is_old = words[5] == 0;
        Ok(Header {
            base_score: f32::from_bits(words[0]),
            num_feature: words[1],
            num_class: words[2],
            has_attributes: words[3] != 0,
            has_metrics: words[4] != 0,
            major: words[5],
            minor: words[6],
            num_target: if is_old { 1 } else { words[7].max(1) },
        })
    }

    fn booster(&mut self) -> Result<Booster, String> {
        let header = self.header()?;
        let objective_name = self.name()?;
        let boosted = match self.name()? {
            "gbtree" => Boosted::Trees(self.trees(false)?),
            "dart" => Boosted::Trees(self.trees(true)?),
            "gblinear" => Boosted::Linear(self.linear()?),
            other => return Err(format!("expected gbtree, dart or gblinear, found {other:?}")),
        };
        let attributes = if header.has_attributes { self.attributes()? } else { Vec::new() };
        let is_old = header.major == 0;
        let mut objective = objective(objective_name, &attributes)?;
        if is_old {
            objective.params.extend(self.old_tail(objective_name, &header)?);
        }
        let own = |name: &str| OWN_ATTRIBUTES.contains(&name) || name.starts_with("SAVED_PARAM_");
        Ok(Booster {
            version: (!is_old).then_some([header.major, header.minor, 0]),
            num_feature: header.num_feature,
            num_class: header.num_class,
            num_target: header.num_target,
            base_score: vec![header.base_score],
            base_score_is_margin: is_old,
            objective: objective.name,
            objective_params: objective.params,
            boosted,
            attributes: attributes.into_iter().filter(|(name, _)| !own(name)).collect(),
            feature_names: Vec::new(),
            feature_types: Vec::new(),
        })
    }

    /// What follows the attributes before 1.0.
    fn old_tail(&mut self, objective: &str, header: &Header) -> Result<Option<(String, String)>, String> {
        let mut parameter = None;
        if objective == "count:poisson" {
            parameter = Some(("max_delta_step".to_owned(), self.text("max_delta_step")?.to_owned()));
        }
        if header.has_metrics {
            for _ in 0..self.length("the number of metrics")? {
                self.text("a metric")?;
            }
        }
        Ok(parameter)
    }

    fn attributes(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut attributes = Vec::new();
        // Each takes 16 bytes at least, so a lying count ends at the end of the file.
        for _ in 0..self.length("the number of attributes")? {
            let name = self.text("the name of an attribute")?;
            attributes.push((name.to_owned(), self.text("an attribute")?.to_owned()));
        }
        attributes.sort();
        match attributes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(twice) => Err(format!("the attribute {:?} comes twice", twice[0].0)),
            None => Ok(attributes),
        }
    }

    fn linear(&mut self) -> Result<Linear, String> {
        self.take(LINEAR_MODEL_PARAM_BYTES, "the parameters of gblinear")?;
        Ok(Linear { weights: self.floats("weights")? })
    }

    fn trees(&mut self, is_dart: bool) -> Result<Trees, String> {
        let parameters: Vec<u32> =
            words(self.take(TREE_MODEL_PARAM_BYTES, "the parameters of gbtree")?).collect();
        let count = parameters[0] as usize;
        let mut trees = Vec::new();
        for index in 0..count {
            trees.push(self.tree().map_err(|reason| format!("tree {index} of {count}: {reason}"))?);
        }
        let groups = words(self.take_array(count, 4, "tree_info")?).collect();
        let weight_drop = if is_dart && count > 0 { self.floats("weight_drop")? } else { Vec::new() };
        // The field was the number of roots before 1.4, always 1.
        Ok(Trees {
            trees,
            groups,
            weight_drop,
            num_parallel_tree: parameters[1].max(1),
            iteration_indptr: Vec::new(),
        })
    }

    fn tree(&mut self) -> Result<Tree, String> {
        let parameters: Vec<u32> = words(self.take(TREE_PARAM_BYTES, "the parameters of a tree")?).collect();
        let (nodes, deleted, leaf_vector) = (parameters[1] as usize, parameters[2] as usize, parameters[5]);
        if leaf_vector > 1 {
            return Err(format!("expected leaves of one value, found {leaf_vector}"));
        }
        let bytes = self.take_array(nodes, NODE_BYTES, "nodes")?;
        self.take_array(nodes, STAT_BYTES, "statistics")?;
        let mut tree = Tree { outputs: 1, ..Tree::default() };
        let mut found_deleted = 0;
        for (index, node) in bytes.chunks_exact(NODE_BYTES).enumerate() {
            let word =
                |place: usize| u32::from_le_bytes(node[place * 4..][..4].try_into().expect("four bytes"));
            let (left, split) = (word(1).cast_signed(), word(3));
            found_deleted += usize::from(index > 0 && split == u32::MAX);
            tree.left.push(left);
            // Some updaters leave a mark in the right child of a leaf.
            tree.right.push(if left == -1 { -1 } else { word(2).cast_signed() });
            tree.feature.push(split & NODE_DELETED);
            tree.default_left.push(split >> 31 != 0);
            tree.condition.push(f32::from_bits(word(4)));
        }
        match found_deleted == deleted {
            true => Ok(tree),
            false => Err(format!("num_deleted says {deleted} deleted nodes, found {found_deleted}")),
        }
    }
}

/// The objective as its document in an attribute has it (since 1.0), else its bare name.
fn objective(name: &str, attributes: &[(String, String)]) -> Result<Objective, String> {
    let Some((_, text)) = attributes.iter().find(|(found, _)| found == "objective") else {
        return Ok(Objective { name: name.to_owned(), params: Vec::new() });
    };
    let document: Objective =
        json::from_slice(text.as_bytes()).map_err(|reason| format!("objective: {reason}"))?;
    // The header keeps the older of two names of one objective.
    match document.name == name || (name, document.name.as_str()) == ("reg:linear", "reg:squarederror") {
        true => Ok(document),
        false => Err(format!("the header names the objective {name:?}, its parameters {:?}", document.name)),
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("chunks of four")))
}
