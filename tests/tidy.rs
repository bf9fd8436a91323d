//! The rules of the tree, read off the tree: which crate may depend on which, and which words may stand in which folder.
//! Cargo keeps a part of ARCHITECTURE.md's "never" list; this keeps the rest. Test modules (from `#[cfg(test)]` on) are
//! exempt, and so are comments.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file is one room; a longer one is split.
const FILE_LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// Every file below `folder` whose name ends in `suffix`, build outputs and hidden folders left out.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry of the tree").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(files(&path, suffix));
        } else if name.ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of production code: no comments, nothing from the test module on.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("UTF-8 source");
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_string()))
        .collect()
}

/// Asserts that none of `words` stands in the code of `folder`, files whose path ends as one of `but` excepted.
fn never(folder: &str, words: &[&str], but: &[&str]) {
    let root = root();
    let mut broken = Vec::new();
    for path in files(&root.join(folder), ".rs") {
        let relative = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        if but.iter().any(|allowed| relative.ends_with(allowed) || relative.contains(&format!("/{allowed}/")))
        {
            continue;
        }
        for (number, line) in code(&path) {
            for word in words.iter().filter(|word| contains_word(&line, word)) {
                broken.push(format!("{relative}:{number}: {word} may not stand here: {}", line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Whether `word` stands in `line` and is not the tail of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The names that `manifest` lists under a heading that starts with `[heading`.
fn dependencies(manifest: &Path, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(manifest).expect("a Cargo.toml");
    text.lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| {
            line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty() && !name.starts_with('#'))
        })
        .map(str::to_string)
        .collect()
}

#[test]
fn crates_depend_one_way() {
    const RULES: &[(&str, &[&str])] = &[
        ("models/dmatrix", &["codecs", "models", "trainer", "server", "loadtest"]),
        ("codecs", &["models", "trainer", "server", "loadtest"]),
        ("models", &["codecs", "trainer", "server", "loadtest"]),
        ("models/trainer", &["server", "loadtest"]),
        ("models/trainer/estimator", &["trainer", "server", "loadtest"]),
        ("server", &["trainer", "loadtest"]),
        ("server/wire", &["codecs", "models", "server", "access", "objects", "scaling", "telemetry"]),
        ("server/scaling", &["codecs", "models", "server", "access", "objects", "telemetry"]),
        ("server/access", &["codecs", "models", "server", "objects", "scaling", "telemetry"]),
        ("server/objects", &["codecs", "models", "server", "access", "scaling", "telemetry"]),
        ("server/telemetry", &["codecs", "models", "server", "access", "objects"]),
        (
            "server/training",
            &["codecs", "dmatrix", "trainer", "server", "access", "objects", "scaling", "telemetry"],
        ),
        ("server/transform", &["models", "server", "access", "objects", "scaling", "telemetry"]),
        ("loadtest", &["codecs", "models", "dmatrix", "trainer", "server"]),
    ];
    for (krate, forbidden) in RULES {
        let found = dependencies(&root().join(krate).join("Cargo.toml"), "[dependencies]");
        for name in *forbidden {
            assert!(!found.iter().any(|dependency| dependency == name), "{krate} may not depend on {name}");
        }
    }
}

/// What all algorithms share knows none of them, and they know each other only where one is a part of another.
#[test]
fn algorithms_are_trained_side_by_side() {
    const PARTS: &[(&str, &str)] = &[("knn", "fit-kmeans")];
    let trainer = root().join("models/trainer");
    for entry in fs::read_dir(&trainer).expect("the trainer").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let manifest = entry.path().join("Cargo.toml");
        if !manifest.exists() {
            continue;
        }
        for dependency in dependencies(&manifest, "[dependencies]") {
            let is_part = PARTS.contains(&(name.as_str(), dependency.as_str()));
            assert!(is_part || !dependency.starts_with("fit-"), "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn the_vocabulary_needs_only_the_standard_library() {
    assert!(dependencies(&root().join("models/dmatrix/Cargo.toml"), "[dependencies]").is_empty());
}

/// What waits, or depends on when and where it runs.
const WAITING: &[&str] = &[
    "tokio::",
    "hyper::",
    "object_store::",
    "tracing::",
    "log::",
    "metrics::",
    "std::env",
    "env::var",
    "std::net",
    "std::time",
    "Instant::now",
    "SystemTime",
    "thread::spawn",
    "println!",
    "eprintln!",
];

#[test]
fn codecs_and_models_are_pure() {
    never("codecs/src", WAITING, &[]);
    never("codecs/src", &["std::fs", "std::path"], &[]);
    never("models/src", WAITING, &[]);
    never("models/dmatrix/src", WAITING, &[]);
    for krate in ["codecs", "models"] {
        let found = dependencies(&root().join(krate).join("Cargo.toml"), "[dependencies]");
        for name in ["tokio", "hyper", "object_store", "tracing", "log", "metrics"] {
            assert!(!found.iter().any(|dependency| dependency == name), "{krate} may not depend on {name}");
        }
    }
}

#[test]
fn wire_scaling_and_access_are_pure() {
    // The one clock of the control plane.
    never("server/wire/src", WAITING, &["wire/src/time.rs"]);
    never("server/scaling/src", WAITING, &[]);
    never("server/access/src", WAITING, &[]);
    for folder in ["server/wire/src", "server/scaling/src", "server/access/src"] {
        never(folder, &["std::fs"], &[]);
    }
}

#[test]
fn the_data_plane_knows_no_shell() {
    never("server/src/serving", &["crate::control", "crate::transform", "crate::faces", "crate::http"], &[]);
}

#[test]
fn hyper_lives_in_http() {
    never("server/src", &["hyper::", "hyper_util::", "http_body_util::"], &["http"]);
    never("server/objects/src", &["hyper::", "hyper_util::"], &[]);
    never("server/telemetry/src", &["hyper::", "tokio::"], &[]);
    never("server/training/src", &["hyper::", "hyper_util::", "http::", "std::env", "env::var"], &[]);
}

#[test]
fn the_environment_is_read_in_one_place() {
    never("server/src", &["std::env", "env::var", "env::args"], &["config.rs"]);
}

#[test]
fn runtimes_and_threads_are_built_in_one_place() {
    never(
        "server/src",
        &["new_current_thread", "new_multi_thread", "thread::spawn", "thread::Builder", "Runtime::new"],
        &["src/rt.rs"],
    );
}

#[test]
fn status_codes_stand_in_one_table() {
    never(
        "server/src",
        &["StatusCode::OK", "StatusCode::BAD", "StatusCode::NOT", "StatusCode::INTERNAL"],
        &["src/error.rs"],
    );
    never(
        "server/src",
        &["StatusCode::SERVICE", "StatusCode::PAYLOAD", "StatusCode::UNSUPPORTED"],
        &["src/error.rs"],
    );
}

#[test]
fn metric_names_stand_in_one_file() {
    never("server/src", &["\"clary_", "counter!(\"", "histogram!(\"", "gauge!(\""], &["src/metrics.rs"]);
}

#[test]
fn unsafe_code_has_one_home() {
    for folder in
        ["codecs/src", "models/src", "models/dmatrix/src", "models/trainer", "server", "loadtest/src"]
    {
        never(
            folder,
            &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"],
            &["xgboost/src/ffi.rs", "ffi"],
        );
    }
}

#[test]
fn nothing_is_unfinished() {
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")];
    for folder in ["codecs", "models", "server", "loadtest", "tests"] {
        never(folder, &marks, &["tests/tidy.rs"]);
    }
    for path in ["rs", "py", "sh"].iter().flat_map(|ending| files(&root(), &format!(".{ending}"))) {
        let text = fs::read_to_string(&path).expect("UTF-8 source");
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X ")] {
            assert!(!text.contains(mark), "{} holds {mark}", path.display());
        }
    }
}

#[test]
fn a_file_is_one_room() {
    for path in files(&root(), ".rs") {
        let lines = fs::read_to_string(&path).expect("UTF-8 source").lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines, at most {FILE_LINES_MAX}", path.display());
    }
}

#[test]
fn modules_say_what_they_are() {
    // A fuzz target is one line over a function of the fuzz library, which says what it is.
    for path in files(&root(), ".rs").iter().filter(|path| !path.to_string_lossy().contains("fuzz_targets")) {
        let text = fs::read_to_string(path).expect("UTF-8 source");
        let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        assert!(first.starts_with("//!"), "{} does not open with //!", path.display());
    }
}

#[test]
fn every_dependency_says_why() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace manifest");
    let mut explained = false;
    for line in text
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|l| !l.starts_with('['))
    {
        match line {
            "" => explained = false,
            comment if comment.starts_with('#') => explained = true,
            ours if ours.contains("path = ") => {}
            dependency => assert!(explained, "no reason above: {dependency}"),
        }
    }
}

#[test]
fn promises_name_tests_that_exist() {
    let text = fs::read_to_string(root().join("SPECIFICATION.md")).expect("SPECIFICATION.md");
    let mut promises = 0;
    for reference in
        text.split('`').skip(1).step_by(2).filter(|word| word.contains("::") && word.contains('/'))
    {
        let (file, name) = reference.split_once("::").expect("a file and a name");
        let source =
            fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{reference}: no such file"));
        let name = name.rsplit("::").next().expect("a name");
        let stands = [format!("fn {name}("), format!("def {name}("), format!("class {name}")];
        assert!(stands.iter().any(|words| source.contains(words.as_str())), "{reference}: no such test");
        promises += 1;
    }
    assert!(
        promises >= 20,
        "SPECIFICATION.md names {promises} tests: are they still written as `file::name`?"
    );
}

#[test]
fn the_map_names_every_folder() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let folders = ["codecs", "models", "models/dmatrix", "models/trainer", "server", "loadtest", "tests"];
    let below_server = ["access", "objects", "scaling", "telemetry", "training", "transform", "wire"];
    let below_trainer = [
        "estimator",
        "xgboost",
        "linear_learner",
        "kmeans",
        "pca",
        "knn",
        "factorization_machines",
        "randomcutforest",
        "lda",
    ];
    for folder in folders.iter().chain(&below_server).chain(&below_trainer) {
        let name = folder.rsplit('/').next().expect("a name");
        assert!(map.contains(&format!("{name}/ ")), "ARCHITECTURE.md does not name {folder}/");
    }
    let source = root().join("server/src");
    for folder in files(&source, ".rs").iter().filter_map(|path| path.parent()) {
        let below = folder.strip_prefix(&source).expect("below it");
        // Deeper ones are a file's own parts.
        if below.components().count() <= 2 {
            let name = folder.file_name().expect("a folder").to_string_lossy().into_owned();
            assert!(map.contains(&name), "ARCHITECTURE.md does not name server/src/{}", below.display());
        }
    }
}
