//! `clary check`: what an artifact is, whether it loads, what it expects, and a scored row.

use std::io::Write;

use anyhow::Context;
use codecs::{ContentType, Format};
use dmatrix::{DMatrix, Field, FieldShape, Predictions};
use models::{Artifact, Input, LoadOptions, Signature};

use crate::config::CheckArgs;
use crate::serving::check_type;

/// Writes the report to `out`.
///
/// # Errors
/// When the artifact is refused, or the row is.
pub fn check(arguments: &CheckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let artifact = Artifact::open(&arguments.artifact, &arguments.scratch)?;
    writeln!(out, "artifact     {}", arguments.artifact.display())?;
    writeln!(out, "digest       {}", artifact.digest())?;
    for member in artifact.members() {
        writeln!(out, "member       {} ({} bytes)", member.name, member.size_bytes)?;
    }
    for assumption in artifact.assumptions() {
        writeln!(out, "assumed      {assumption}")?;
    }
    let model = artifact.load(&LoadOptions::default())?;
    let signature = model.signature();
    report(signature, model.memory_bytes(), out)?;
    let rows = match &arguments.row {
        None => artifact.warm_up_rows(signature),
        Some(row) => decode(row, &arguments.content_type, signature)?,
    };
    let mut predictions = Predictions::new();
    model.predict(Input::Rows(&rows), &mut predictions)?;
    let mut answer = Vec::new();
    codecs::encode(&ContentType::new(Format::JsonLines), &predictions, rows.tags(), &mut answer);
    let scored = if arguments.row.is_some() { "row" } else { "warm-up row" };
    for line in String::from_utf8_lossy(&answer).lines() {
        writeln!(out, "scored       {scored}: {line}")?;
    }
    Ok(())
}

fn decode(row: &str, content_type: &str, signature: &Signature) -> anyhow::Result<DMatrix> {
    let content_type = ContentType::parse(content_type).context("--content-type")?;
    check_type(signature, content_type).context("--content-type")?;
    let mut rows = DMatrix::new();
    codecs::decode(&content_type, &signature.rows, row.as_bytes(), &mut rows).context("--row")?;
    Ok(rows)
}

fn report(signature: &Signature, memory_bytes: usize, out: &mut impl Write) -> std::io::Result<()> {
    let rows = &signature.rows;
    let columns = rows.columns.map_or("as many as the first row".into(), |columns| columns.to_string());
    writeln!(out, "algorithm    {}", signature.algorithm)?;
    writeln!(out, "memory       {memory_bytes} bytes")?;
    writeln!(out, "features     {columns}")?;
    if !signature.feature_names.is_empty() {
        writeln!(out, "names        {}", signature.feature_names.join(", "))?;
    }
    writeln!(out, "narrow rows  {:?}", rows.narrow_rows)?;
    writeln!(out, "missing      {:?}", rows.missing)?;
    writeln!(out, "csv header   {:?}", rows.csv_header)?;
    writeln!(out, "libsvm base  {:?}", rows.libsvm_index_base)?;
    let fields: Vec<_> = signature.fields.iter().map(field).collect();
    writeln!(out, "answers      {} as {} unless asked otherwise", fields.join(", "), signature.default_accept)
}

fn field(field: &Field) -> String {
    match field.shape {
        FieldShape::Scalar => field.name.to_string(),
        FieldShape::Vector(width) => format!("{}[{width}]", field.name),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Two centroids, (0, 0) and (3, 4), as k-means writes them.
    fn write_artifact(directory: &Path) {
        let values: Vec<u8> = [0.0_f32, 0.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let head = r#"{"centroids":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        let length = (head.len() as u64).to_le_bytes();
        fs::write(directory.join("model.safetensors"), [&length[..], head.as_bytes(), &values].concat())
            .unwrap();
        fs::write(directory.join("manifest.json"), r#"{"algorithm": "kmeans", "k": 2, "feature_dim": 2}"#)
            .unwrap();
    }

    fn run(row: Option<&str>) -> Result<String, String> {
        let scratch = tempfile::tempdir().unwrap();
        let artifact = scratch.path().join("artifact");
        fs::create_dir(&artifact).unwrap();
        write_artifact(&artifact);
        let (row, content_type) = (row.map(str::to_owned), "text/csv".to_owned());
        let arguments = CheckArgs { artifact, row, content_type, scratch: scratch.path().into() };
        let mut out = Vec::new();
        check(&arguments, &mut out).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn it_says_what_the_artifact_is_and_scores_a_row() {
        let report = run(Some("3,3")).unwrap();
        assert!(report.contains("algorithm    kmeans\n") && report.contains("features     2\n"), "{report}");
        let scored = r#"scored       row: {"closest_cluster": 1.0, "distance_to_cluster": 1.0}"#;
        assert!(report.lines().any(|line| line == scored), "{report}");
        assert!(run(None).unwrap().contains("scored       warm-up row: "));
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_with_its_place() {
        let error = run(Some("1,2,3")).expect_err("too wide");
        assert!(error.starts_with("--row: row 1") && error.contains("expected 2 features"), "{error}");
    }
}
