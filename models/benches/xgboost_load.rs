//! Loading a model: 500 full trees of depth 8 over 30 features, as XGBoost writes them, in JSON and UBJSON.

use divan::Bencher;
use divan::counter::BytesCount;
use models::xgboost::booster::{Boosted, Booster};
use models::xgboost::reader::read;

const TREES: usize = 500;
const DEPTH: u32 = 8;
const FEATURES: u32 = 30;

fn main() {
    let read = |bytes: &[u8]| read("model", bytes).expect("a model");
    assert_eq!(read(&json()), read(&ubjson()), "both say the same");
    divan::main();
}

#[divan::bench]
fn json_500_trees_depth_8(bencher: Bencher<'_, '_>) {
    bench(bencher, &json());
}

#[divan::bench]
fn ubjson_500_trees_depth_8(bencher: Bencher<'_, '_>) {
    bench(bencher, &ubjson());
}

fn bench(bencher: Bencher<'_, '_>, bytes: &[u8]) {
    bencher.counter(BytesCount::of_slice(bytes)).bench_local(|| {
        let booster = read("model", bytes).expect("a model");
        assert!(tree_count(&booster) > 0);
        booster
    });
}

fn tree_count(booster: &Booster) -> usize {
    match &booster.boosted {
        Boosted::Trees(trees) => trees.trees.len(),
        Boosted::Linear(_) => 0,
    }
}

/// The arrays of one full tree.
struct Arrays {
    left: Vec<i32>,
    right: Vec<i32>,
    parents: Vec<i32>,
    features: Vec<i32>,
    floats: Vec<f32>,
    flags: Vec<u8>,
}

fn arrays(random: &mut fastrand::Rng) -> Arrays {
    let (nodes, splits) = ((1 << (DEPTH + 1)) - 1, (1 << DEPTH) - 1);
    let child =
        |side: i32| (0..nodes).map(move |node| if node < splits { 2 * node + side } else { -1 }).collect();
    Arrays {
        left: child(1),
        right: child(2),
        parents: (0..nodes).map(|node| if node == 0 { i32::MAX } else { (node - 1) / 2 }).collect(),
        features: (0..nodes).map(|_| random.u32(..FEATURES).cast_signed()).collect(),
        floats: (0..nodes).map(|_| random.f32() - 0.5).collect(),
        flags: (0..nodes).map(|_| random.u8(..2)).collect(),
    }
}

const PARAMETERS: [(&str, &str); 4] =
    [("num_deleted", "0"), ("num_feature", "30"), ("num_nodes", "511"), ("size_leaf_vector", "1")];
const FLOATS: [&str; 4] = ["base_weights", "loss_changes", "split_conditions", "sum_hessian"];
const MODEL_PARAMETERS: [(&str, &str); 4] =
    [("base_score", "[5E-1]"), ("num_class", "0"), ("num_feature", "30"), ("num_target", "1")];

fn joined<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

fn json() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    let texts =
        |pairs: &[(&str, &str)]| joined(pairs.iter().map(|(name, text)| format!("\"{name}\":\"{text}\"")));
    let tree = |index: usize| {
        let arrays = arrays(&mut random);
        let floats = joined(arrays.floats.iter().map(|value| format!("{value:E}")));
        let floats = joined(FLOATS.iter().map(|name| format!("\"{name}\":[{floats}]")));
        let integers = [
            ("left_children", &arrays.left),
            ("right_children", &arrays.right),
            ("parents", &arrays.parents),
            ("split_indices", &arrays.features),
        ];
        let integers =
            joined(integers.iter().map(|(name, values)| format!("\"{name}\":[{}]", joined(*values))));
        let flags = joined(&arrays.flags);
        let parameters = texts(&PARAMETERS);
        format!(
            "{{{floats},{integers},\"default_left\":[{flags}],\"id\":{index},\"tree_param\":{{{parameters}}}}}"
        )
    };
    let trees = joined((0..TREES).map(tree));
    let info = joined(vec![0; TREES]);
    format!(
        "{{\"learner\":{{\"learner_model_param\":{{{}}},\"objective\":{{\"name\":\"reg:squarederror\"}},\
         \"gradient_booster\":{{\"name\":\"gbtree\",\"model\":{{\"gbtree_model_param\":{{\"num_trees\":\"{TREES}\"}},\
         \"tree_info\":[{info}],\"trees\":[{trees}]}}}}}},\"version\":[3,2,0]}}",
        texts(&MODEL_PARAMETERS)
    )
    .into_bytes()
}

/// UBJSON as XGBoost writes it: 64-bit lengths, typed arrays.
#[derive(Default)]
struct Ubjson(Vec<u8>);

impl Ubjson {
    fn key(&mut self, name: &str) {
        self.0.push(b'L');
        self.0.extend((name.len() as u64).to_be_bytes());
        self.0.extend(name.as_bytes());
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.0.push(b'S');
        self.key(value);
    }

    fn texts(&mut self, pairs: &[(&str, &str)]) {
        for (name, value) in pairs {
            self.text(name, value);
        }
    }

    fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.key(name);
        self.0.push(b'{');
        members(self);
        self.0.push(b'}');
    }

    fn typed<const N: usize>(
        &mut self,
        name: &str,
        marker: u8,
        values: impl ExactSizeIterator<Item = [u8; N]>,
    ) {
        self.key(name);
        self.0.extend([b'[', b'$', marker, b'#', b'L']);
        self.0.extend((values.len() as u64).to_be_bytes());
        self.0.extend(values.flatten());
    }

    fn tree(&mut self, index: usize, arrays: &Arrays) {
        self.0.push(b'{');
        for name in FLOATS {
            self.typed(name, b'd', arrays.floats.iter().map(|value| value.to_be_bytes()));
        }
        self.typed("left_children", b'l', arrays.left.iter().map(|value| value.to_be_bytes()));
        self.typed("right_children", b'l', arrays.right.iter().map(|value| value.to_be_bytes()));
        self.typed("parents", b'l', arrays.parents.iter().map(|value| value.to_be_bytes()));
        self.typed("split_indices", b'l', arrays.features.iter().map(|value| value.to_be_bytes()));
        self.typed("default_left", b'U', arrays.flags.iter().map(|value| value.to_be_bytes()));
        self.key("id");
        self.0.push(b'L');
        self.0.extend((index as u64).to_be_bytes());
        self.object("tree_param", |object| object.texts(&PARAMETERS));
        self.0.push(b'}');
    }

    fn model(&mut self) {
        let mut random = fastrand::Rng::with_seed(3);
        self.object("gbtree_model_param", |object| object.text("num_trees", &TREES.to_string()));
        self.typed("tree_info", b'l', vec![[0; 4]; TREES].into_iter());
        self.key("trees");
        self.0.extend([b'[', b'#', b'L']);
        self.0.extend((TREES as u64).to_be_bytes());
        for index in 0..TREES {
            self.tree(index, &arrays(&mut random));
        }
    }
}

fn ubjson() -> Vec<u8> {
    let mut document = Ubjson::default();
    document.0.push(b'{');
    document.object("learner", |learner| {
        learner.object("learner_model_param", |object| object.texts(&MODEL_PARAMETERS));
        learner.object("objective", |object| object.text("name", "reg:squarederror"));
        learner.object("gradient_booster", |object| {
            object.text("name", "gbtree");
            object.object("model", Ubjson::model);
        });
    });
    document.typed("version", b'l', [3i32, 2, 0].iter().map(|value| value.to_be_bytes()));
    document.0.push(b'}');
    document.0
}
