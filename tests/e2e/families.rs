//! Artifacts that an earlier `clary-train` wrote, a family each, give the answers that they gave then, in any batch.

use std::fs;
use std::path::{Path, PathBuf};

use harness::Oracle;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/families")
}

fn answers() -> Value {
    serde_json::from_reader(fs::File::open(folder().join("answers.json")).unwrap()).unwrap()
}

#[test]
fn artifacts_of_an_earlier_version_answer_as_they_did() {
    let golden = answers();
    let request = |rows: &[Value]| {
        let instances: Vec<Value> = rows.iter().map(|row| json!({"features": row})).collect();
        json!({"instances": instances}).to_string().into_bytes()
    };
    let rows = golden["rows"].as_array().unwrap();
    let families = golden["answers"].as_object().unwrap();
    assert!(families.len() >= 8, "{} families", families.len());
    for (name, expected) in families {
        let oracle = Oracle::of_path(&folder().join(name));
        let answer = |rows: &[Value]| -> Value {
            let body = oracle.answer("application/json", &request(rows), "application/json");
            serde_json::from_str(std::str::from_utf8(&body).unwrap()).unwrap()
        };
        assert_eq!(answer(rows), *expected, "{name}");
        let (envelope, expected) = expected.as_object().unwrap().iter().next().unwrap();
        for (row, expected) in rows.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(answer(std::slice::from_ref(row))[envelope][0], *expected, "{name}, alone");
        }
    }
}
