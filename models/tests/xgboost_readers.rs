//! The XGBoost readers against models that XGBoost itself wrote (tests/golden/xgboost), and against hostile ones.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::path::{Path, PathBuf};

use models::LoadError;
use models::xgboost::booster::{Boosted, Booster, Tree, Trees};
use models::xgboost::reader::read;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/xgboost")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn cases() -> Vec<PathBuf> {
    folders(&golden()).iter().flat_map(|version| folders(version)).collect()
}

fn case(name: &str) -> Vec<u8> {
    std::fs::read(golden().join(name)).unwrap()
}

fn description(folder: &Path) -> serde_json::Value {
    std::fs::read_to_string(folder.join("case.json")).unwrap().parse().unwrap()
}

/// The model files of a case, the document first.
fn model_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_model = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("model.");
    let mut files: Vec<PathBuf> = entries.filter(is_model).collect();
    files.sort_by_key(|path| (path.extension().unwrap() != "json", path.clone()));
    files
}

fn read_file(path: &Path) -> Booster {
    read(path.to_str().unwrap(), &std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn reason(bytes: &[u8]) -> String {
    match read("model", bytes) {
        Err(LoadError::Model { file, reason }) => {
            assert_eq!(file, "model");
            reason
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// What every format of a case says alike. The binary format has no patch number, no first trees of rounds and no names
/// of features; a pickle carries Python's attributes and, before 1.4, is alone in having the names.
fn comparable(mut booster: Booster, versus: &Booster) -> Booster {
    booster.version = versus.version;
    booster.attributes.clone_from(&versus.attributes);
    if booster.feature_names.is_empty() || versus.feature_names.is_empty() {
        booster.feature_names.clone_from(&versus.feature_names);
    }
    if booster.feature_types.is_empty() || versus.feature_types.is_empty() {
        booster.feature_types.clone_from(&versus.feature_types);
    }
    if let (Boosted::Trees(found), Boosted::Trees(expected)) = (&mut booster.boosted, &versus.boosted)
        && (found.iteration_indptr.is_empty() || expected.iteration_indptr.is_empty())
    {
        found.iteration_indptr.clone_from(&expected.iteration_indptr);
    }
    booster
}

#[test]
fn every_format_of_a_case_reads_to_the_same_booster() {
    let mut files_read = 0;
    for folder in cases() {
        let files = model_files(&folder);
        let first = read_file(&files[0]);
        for file in &files {
            let booster = read_file(file);
            assert_eq!(
                booster.version.map(|version| version[..2].to_vec()),
                first.version.map(|v| v[..2].to_vec())
            );
            let carried = ["best_iteration", "best_score", "best_ntree_limit"];
            let own: Vec<_> =
                booster.attributes.iter().filter(|(name, _)| !carried.contains(&name.as_str())).collect();
            let own_first: Vec<_> =
                first.attributes.iter().filter(|(name, _)| !carried.contains(&name.as_str())).collect();
            assert_eq!(own, own_first, "{}", file.display());
            assert_eq!(comparable(booster, &first), first, "{}", file.display());
            files_read += 1;
        }
    }
    assert!(files_read > 700, "{files_read} files");
}

#[test]
fn a_case_reads_to_what_it_was_trained_as() {
    for folder in cases() {
        let case = description(&folder);
        for file in model_files(&folder) {
            let booster = read_file(&file);
            let place = file.display();
            // reg:linear is written under its newer name since 1.0.
            let objective = case["objective"].as_str().unwrap();
            assert!(
                booster.objective == objective || objective == "reg:linear",
                "{place}: {}",
                booster.objective
            );
            assert_eq!(u64::from(booster.num_feature), case["features"].as_u64().unwrap(), "{place}");
            let outputs =
                case["margins"]["shape"].as_array().unwrap().get(1).map_or(1, |n| n.as_u64().unwrap());
            assert_eq!(u64::from(booster.output_count()), outputs, "{place}");
            check_kind(&booster, &case);
        }
    }
}

fn check_kind(booster: &Booster, case: &serde_json::Value) {
    let parameters = &case["params"];
    match (&booster.boosted, parameters["booster"].as_str().unwrap_or("gbtree")) {
        (Boosted::Linear(linear), "gblinear") => assert!(!linear.weights.is_empty()),
        (Boosted::Trees(trees), "dart") => assert_eq!(trees.weight_drop.len(), trees.trees.len()),
        (Boosted::Trees(trees), "gbtree") => {
            assert!(trees.weight_drop.is_empty());
            let is_vector = parameters["multi_strategy"] == "multi_output_tree";
            assert!(trees.trees.iter().all(|tree| (tree.outputs > 1) == is_vector));
            // On the CPU, 1.5 still splits categories as numbers.
            let is_categorical =
                parameters.get("max_cat_to_onehot").is_some() && booster.version >= Some([1, 6, 0]);
            let has_categories = trees.trees.iter().any(|tree| !tree.categories.is_empty());
            assert_eq!(has_categories, is_categorical, "{:?}", booster.version);
        }
        (other, kind) => panic!("expected {kind}, found {other:?}"),
    }
}

#[test]
fn one_model_is_read_to_the_number() {
    let booster = read_file(&golden().join("3.2.0/base_score_vector/model.ubj"));
    assert_eq!(booster.version, Some([3, 2, 0]));
    assert_eq!((booster.num_feature, booster.num_class, booster.num_target), (6, 0, 2));
    assert_eq!(booster.base_score, [0.25, -1.5]);
    assert!(!booster.base_score_is_margin);
    let booster = read_file(&golden().join("3.4.1/dart_squarederror/model.json"));
    let Boosted::Trees(trees) = booster.boosted else { panic!("trees") };
    assert_eq!(trees.weight_drop, [5.333_333_6e-1, 2.844_444_8e-1, 5.333_333_6e-1, 4e-1, 4e-1]);
    assert_eq!(trees.iteration_indptr, [0, 1, 2, 3, 4, 5]);
    assert_eq!(trees.trees[4].left, [1, 3, 5, -1, -1, -1, -1]);
    assert_eq!(trees.trees[4].condition[..2], [5.680_619e-1, -6.647_156e-1]);
    let booster = read_file(&golden().join("2.1.4/partition/model.json"));
    let Boosted::Trees(trees) = booster.boosted else { panic!("trees") };
    assert_eq!(trees.trees[0].categories[0], (0, vec![2, 3, 6, 7, 10]));
    assert_eq!(trees.trees[2].categories[1], (2, vec![3, 6, 7, 10]));
    assert_eq!(booster.feature_types, ["c", "q", "q", "c", "q"]);
}

#[test]
fn parameters_attributes_and_names_are_kept() {
    let booster = read_file(&golden().join("3.2.0/aft_extreme/model.json"));
    let expected = [("aft_loss_distribution", "extreme"), ("aft_loss_distribution_scale", "1.20000005")];
    assert_eq!(booster.objective_params, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for file in
        ["1.7.6/feature_names/model.json", "1.7.6/feature_names/model.bin", "0.90/feature_names/model.bin"]
    {
        let booster = read_file(&golden().join(file));
        let note = booster.attributes.iter().find(|(name, _)| name == "note").unwrap();
        assert_eq!(note.1, "two\nlines \"quoted\"", "{file}");
    }
    for file in
        ["0.90/feature_names/model.pkl", "1.2.1/feature_names/model.pkl", "3.2.0/feature_names/model.ubj"]
    {
        let booster = read_file(&golden().join(file));
        assert_eq!(booster.feature_names, ["age", "length_of_stay", "b", "a", "e", "f2"], "{file}");
    }
    let booster = read_file(&golden().join("2.1.4/feature_names_unicode/model.json"));
    assert_eq!(booster.feature_names, ["größe", "長さ", "c\tt", "d\\e", "🌳", "q\"q"]);
}

#[test]
fn early_stopping_is_carried_by_every_format_that_says_it() {
    for version in ["0.90", "1.0.2", "1.2.1", "1.3.3", "1.5.2", "1.7.6", "2.1.4", "3.0.5", "3.2.0", "3.4.1"] {
        let folder = golden().join(version).join("early_stopping");
        let case = description(&folder);
        for file in model_files(&folder) {
            let booster = read_file(&file);
            let found = booster.attributes.iter().find(|(name, _)| name == "best_iteration");
            assert_eq!(
                found.map(|(_, value)| value.clone()),
                Some(case["best"]["iteration"].to_string()),
                "{version}"
            );
        }
    }
}

// Hostile files. The smallest case of each format; a debug build reads it in well under a millisecond.

const SMALL: [&str; 9] = [
    "1.0.2/stumps/model.json",
    "3.2.0/stumps/model.json",
    "3.2.0/stumps/model.ubj",
    "0.90/stumps/model.bin",
    "1.7.6/stumps/model.bin",
    "0.90/stumps/model.pkl",
    "1.2.1/stumps/model.pkl",
    "3.2.0/one_hot/model.ubj",
    "1.2.1/binary_logistic/model.p0.pkl",
];

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    for name in SMALL {
        let bytes = case(name);
        for length in 0..bytes.len() {
            // White space at the end of JSON may go.
            assert!(read(name, &bytes[..length]).is_err(), "{name} cut at {length}");
        }
    }
}

#[test]
fn a_file_with_more_behind_it_is_refused() {
    for name in SMALL {
        let mut bytes = case(name);
        bytes.extend(b"\x00\x00\x00\x00");
        assert!(read(name, &bytes).is_err(), "{name}");
    }
}

#[test]
fn a_damaged_file_is_refused_or_safe() {
    let mut random = fastrand::Rng::with_seed(17);
    for name in SMALL {
        let bytes = case(name);
        for _ in 0..1500 {
            let mut damaged = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let place = random.usize(..damaged.len());
                match random.u8(..4) {
                    0 => damaged[place] = random.u8(..),
                    1 => damaged[place] ^= 1 << random.u8(..8),
                    2 => drop(damaged.remove(place)),
                    _ => damaged
                        .insert(place, *random.choice(&[0x00, 0xff, b'[', b'{', b'9', b'"', 0x7f]).unwrap()),
                }
            }
            if let Ok(booster) = read(name, &damaged) {
                booster.validate().unwrap();
            }
        }
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let check = |bytes: &[u8], expected: &str| {
        let reason = reason(bytes);
        assert!(reason.contains(expected), "{reason}");
    };
    check(b"", "empty file");
    check(b"PK\x03\x04zip", "begins with \"PK\\x03\\x04zip\"");
    check(b"bs64\tAAAA", "base64");
    check(b"{}", "expected a model with \"learner\"");
    check(b"{\"learner\": {}}", "missing field");
    check(b"{\"version\": [1, 7], \"learner\": {}}", "invalid length 2");
    check(b"binf", "expected 136 bytes of the header");
    check(b"\x80\x04cos\nsystem\n.", "\"os.system\"");
    check(&[b"{\"a\":".as_slice(), &[b'['; 1 << 20]].concat(), "nested deeper");
    check(&b"{L\0\0\0\0\0\0\0\x01a[".repeat(1 << 10), "nested deeper");
}

fn edited(from: &str, to: &str) -> String {
    let text = String::from_utf8(case("2.1.4/squarederror/model.json")).unwrap();
    assert!(text.contains(from), "{from}");
    reason(text.replacen(from, to, 1).as_bytes())
}

#[test]
fn a_lying_document_is_refused_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        let reason = edited(from, to);
        assert!(reason.contains(expected), "{from} -> {to}: {reason}");
    };
    check(
        "\"num_nodes\":\"7\"",
        "\"num_nodes\":\"9\"",
        "tree 0: tree_param.num_nodes says 9 nodes, left_children has 7",
    );
    check("\"num_nodes\":\"7\"", "\"num_nodes\":\"-1\"", "tree_param.num_nodes: expected a whole number");
    check("\"num_deleted\":\"0\"", "\"num_deleted\":\"2\"", "says 2 deleted nodes, found 0");
    check("\"num_trees\":\"3\"", "\"num_trees\":\"4\"", "num_trees says 4 trees, found 3");
    check("\"tree_info\":[0,0,0]", "\"tree_info\":[0,0]", "tree_info: expected 3");
    check("\"tree_info\":[0,0,0]", "\"tree_info\":[0,0,1]", "expected a group below 1, found 1");
    check("\"iteration_indptr\":[0,1,2,3]", "\"iteration_indptr\":[0,2,1,3]", "iteration_indptr");
    check("\"iteration_indptr\":[0,1,2,3]", "\"iteration_indptr\":[0,1,2]", "iteration_indptr");
    check("\"left_children\":[1,3,5,", "\"left_children\":[0,3,5,", "tree 0: node 0 is reached twice");
    check("\"left_children\":[1,3,5,", "\"left_children\":[1,3,3,", "tree 0: node 3 is reached twice");
    check("\"left_children\":[1,3,5,", "\"left_children\":[1,3,77,", "node 2 has the child 77 of 7");
    check("\"left_children\":[1,3,5,", "\"left_children\":[1,3,-2,", "node 2 has the child -2 of 7");
    check("\"right_children\":[2,4,", "\"right_children\":[2,-1,", "node 1 has the child -1 of 7");
    check("\"split_indices\":[0,", "\"split_indices\":[6,", "splits on feature 6, expected below 6");
    check("\"split_conditions\":[", "\"split_conditions\":[NaN,", "split_conditions has 8");
    check("\"id\":1", "\"id\":2", "tree 1: expected the id 1, found 2");
    check(
        "\"num_feature\":\"6\",\"num_target\"",
        "\"num_feature\":\"0\",\"num_target\"",
        "num_feature: expected 1 to",
    );
    check("\"num_class\":\"0\"", "\"num_class\":\"4294967295\"", "outputs");
    check(
        "\"num_class\":\"0\"",
        "\"num_class\":\"4294967296\"",
        "num_class: expected a whole number in range",
    );
    check("\"num_target\":\"1\"", "\"num_target\":\"70000\"", "at most 65536 outputs");
    check("\"base_score\":\"", "\"base_score\":\"nan", "base_score");
    check("\"name\":\"gbtree\"", "\"name\":\"gbforest\"", "expected gbtree, dart or gblinear");
    check("\"feature_names\":[]", "\"feature_names\":[\"a\"]", "feature_names: expected 6");
    check("\"attributes\":{}", "\"attributes\":{\"a\":\"1\",\"a\":\"2\"}", "comes twice");
    check("\"split_type\":[0,", "\"split_type\":[1,", "categorical split without categories");
    check("\"split_type\":[0,", "\"split_type\":[3,", "expected 0 or 1, found 3");
    check("\"default_left\":[", "\"default_left\":[7,", "expected true, false, 1 or 0");
}

#[test]
fn categories_are_held_to_their_segments() {
    let text = String::from_utf8(case("2.1.4/partition/model.json")).unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from}");
        let reason = reason(text.replacen(from, to, 1).as_bytes());
        assert!(reason.contains(expected), "{from} -> {to}: {reason}");
    };
    check("\"categories_nodes\":[0,1]", "\"categories_nodes\":[1,0]", "do not ascend");
    check("\"categories_nodes\":[0,1]", "\"categories_nodes\":[0,5]", "does not call categorical");
    check("\"categories_nodes\":[0,1]", "\"categories_nodes\":[0,9]", "does not call categorical");
    check("\"categories_segments\":[0,5]", "\"categories_segments\":[0,4]", "overlap");
    check("\"categories_sizes\":[5,24]", "\"categories_sizes\":[5,2400]", "end past the array");
    check("\"categories_sizes\":[5,24]", "\"categories_sizes\":[5]", "1 categories_sizes");
    check("\"categories_sizes\":[5,24]", "\"categories_sizes\":[5,0]", "at least one");
    check("\"categories\":[2,", "\"categories\":[-2,", "-2 is no category");
    check("\"categories\":[2,", "\"categories\":[16777216,", "below 16777216");
}

#[test]
fn vector_leaves_are_held_to_their_array() {
    for name in ["2.1.4/vector_leaf/model.json", "3.2.0/vector_leaf/model.json"] {
        let text = String::from_utf8(case(name)).unwrap();
        for size in ["3", "1000000000", "18446744073709551615"] {
            let lie =
                text.replacen("\"size_leaf_vector\":\"2\"", &format!("\"size_leaf_vector\":\"{size}\""), 1);
            assert!(reason(lie.as_bytes()).contains("vectors of"), "{name}");
        }
    }
    let text = String::from_utf8(case("3.2.0/vector_leaf/model.json")).unwrap();
    let start = text.find("\"right_children\":[").unwrap();
    let end = start + text[start..].find(']').unwrap();
    let last = text[..end].rfind(',').unwrap() + 1;
    let lie = format!("{}99{}", &text[..last], &text[end..]);
    assert!(reason(lie.as_bytes()).contains("lies outside leaf_weights"));
}

// Boosters made by hand: what no file needs to spell out.

fn one_tree(tree: Tree) -> Booster {
    let trees = Trees { trees: vec![tree], groups: vec![0], num_parallel_tree: 1, ..Trees::default() };
    Booster {
        version: Some([3, 2, 0]),
        num_feature: 2,
        num_class: 0,
        num_target: 1,
        base_score: vec![0.5],
        base_score_is_margin: false,
        objective: "reg:squarederror".into(),
        objective_params: Vec::new(),
        boosted: Boosted::Trees(trees),
        attributes: Vec::new(),
        feature_names: Vec::new(),
        feature_types: Vec::new(),
    }
}

/// A tree whose every left child is a leaf.
fn chain(depth: usize) -> Tree {
    let nodes = 2 * depth + 1;
    let mut tree = Tree { outputs: 1, ..Tree::default() };
    for node in 0..nodes {
        let is_leaf = node % 2 == 1 || node == nodes - 1;
        tree.left.push(if is_leaf { -1 } else { node as i32 + 1 });
        tree.right.push(if is_leaf { -1 } else { node as i32 + 2 });
        tree.feature.push(0);
        tree.condition.push(1.0);
        tree.default_left.push(false);
    }
    tree
}

#[test]
fn depth_is_capped() {
    one_tree(chain(1024)).validate().unwrap();
    assert!(one_tree(chain(1025)).validate().unwrap_err().contains("deeper than 1024"));
}

#[test]
fn thresholds_may_be_infinite_and_leaves_may_not() {
    let set = |node: usize, value: f32| {
        let mut tree = chain(2);
        tree.condition[node] = value;
        one_tree(tree).validate()
    };
    set(0, f32::INFINITY).unwrap();
    set(0, f32::NEG_INFINITY).unwrap();
    assert!(set(0, f32::NAN).unwrap_err().contains("node 0: expected a threshold"));
    assert!(set(1, f32::INFINITY).unwrap_err().contains("leaf 1: expected a finite value"));
    assert!(set(4, f32::NAN).unwrap_err().contains("leaf 4: expected a finite value"));
}

#[test]
fn nodes_the_root_does_not_reach_are_not_judged() {
    let mut tree = chain(2);
    tree.left.extend([77, -1]);
    tree.right.extend([-5, -1]);
    tree.feature.extend([0x7fff_ffff, 0]);
    tree.condition.extend([f32::NAN, f32::NAN]);
    tree.default_left.extend([true, true]);
    one_tree(tree).validate().unwrap();
}

#[test]
fn classes_and_targets_do_not_multiply() {
    let mut booster = one_tree(chain(1));
    booster.num_class = 3;
    booster.num_target = 2;
    assert!(booster.validate().unwrap_err().contains("several classes or several targets"));
}
