//! Answers in JSON, JSON Lines and RecordIO-protobuf.

use codecs::framing::{SplitType, Splitter};
use codecs::record::{Kind, Record};
use codecs::{ContentType, Format};
use dmatrix::{Field, FieldShape, NumberStyle, Predictions, ResponseLayout, RowTag};
use prost::Message;

/// One field: its name, shape, style and values.
type Column<'a> = (&'static str, FieldShape, NumberStyle, &'a [f32]);

const SCALAR: FieldShape = FieldShape::Scalar;
const FLOAT: NumberStyle = NumberStyle::Float;
const INTEGER: NumberStyle = NumberStyle::Integer;

fn predictions(envelope: &'static str, columns: &[Column<'_>]) -> Predictions {
    let fields: Vec<Field> =
        columns.iter().map(|&(name, shape, style, _)| Field::new(name, shape, style)).collect();
    let rows = columns.first().map_or(0, |(_, shape, _, values)| values.len() / shape.width());
    let mut predictions = Predictions::new();
    predictions.reset(rows, &fields, &ResponseLayout { envelope, ..ResponseLayout::default() });
    for (field, (.., values)) in predictions.fields_mut().iter_mut().zip(columns) {
        field.values.copy_from_slice(values);
    }
    predictions
}

fn encode(format: Format, predictions: &Predictions, tags: &[RowTag]) -> Vec<u8> {
    let mut out = b"before ".to_vec();
    codecs::encode(&ContentType::new(format), predictions, tags, &mut out);
    out.split_off(7)
}

fn check(envelope: &'static str, columns: &[Column<'_>], json: &str, lines: &str) {
    let predictions = predictions(envelope, columns);
    assert_eq!(String::from_utf8_lossy(&encode(Format::Json, &predictions, &[])), json);
    assert_eq!(String::from_utf8_lossy(&encode(Format::JsonLines, &predictions, &[])), lines);
}

#[test]
fn json_is_spaced_as_python_spaces_it() {
    check(
        "predictions",
        &[("score", SCALAR, FLOAT, &[0.5])],
        r#"{"predictions": [{"score": 0.5}]}"#,
        "{\"score\": 0.5}\n",
    );
    check(
        "predictions",
        &[("score", SCALAR, FLOAT, &[0.4, 1.0]), ("predicted_label", SCALAR, INTEGER, &[0.0, 1.0])],
        r#"{"predictions": [{"score": 0.4, "predicted_label": 0}, {"score": 1.0, "predicted_label": 1}]}"#,
        "{\"score\": 0.4, \"predicted_label\": 0}\n{\"score\": 1.0, \"predicted_label\": 1}\n",
    );
    check(
        "projections",
        &[("projection", FieldShape::Vector(2), FLOAT, &[-1.5, 1e-9, 3.0, f32::NAN])],
        r#"{"projections": [{"projection": [-1.5, 1e-9]}, {"projection": [3.0, NaN]}]}"#,
        "{\"projection\": [-1.5, 1e-9]}\n{\"projection\": [3.0, NaN]}\n",
    );
    check(
        "scores",
        &[("score", FieldShape::Vector(1), FLOAT, &[2.0])],
        r#"{"scores": [{"score": [2.0]}]}"#,
        "{\"score\": [2.0]}\n",
    );
    check("predictions", &[("score", SCALAR, FLOAT, &[])], r#"{"predictions": []}"#, "");
    check(
        "predictions",
        &[("a\"b\\c\u{1}é", SCALAR, FLOAT, &[1.0])],
        r#"{"predictions": [{"a\"b\\c\u0001é": 1.0}]}"#,
        "{\"a\\\"b\\\\c\\u0001é\": 1.0}\n",
    );
}

#[test]
fn json_answers_are_json() {
    let predictions = predictions("predictions", &[("score", SCALAR, FLOAT, &[0.1, -3.4e38, 1e-45])]);
    let text = String::from_utf8(encode(Format::Json, &predictions, &[])).expect("answers are text");
    let value: serde_json::Value = serde_json::from_str(&text).expect("answers are JSON");
    let scores = value["predictions"].as_array().expect("an array").iter();
    let scores: Vec<f32> = scores.map(|row| row["score"].as_f64().expect("a number") as f32).collect();
    assert_eq!(scores, [0.1, -3.4e38, 1e-45]);
}

#[test]
fn a_record_a_row_with_fields_as_labels_and_tags_echoed() {
    let columns: [Column<'_>; 2] = [
        ("score", FieldShape::Vector(2), FLOAT, &[0.25, 0.75, 1.0, 0.0]),
        ("predicted_label", SCALAR, INTEGER, &[1.0, 0.0]),
    ];
    let tags = [RowTag { uid: Some("a".to_owned()), metadata: Some("m".to_owned()) }, RowTag::default()];
    let answer = encode(Format::RecordIo, &predictions("predictions", &columns), &tags);
    let mut splitter = Splitter::new(SplitType::RecordIo);
    splitter.feed(&answer);
    let mut records = Vec::new();
    let mut room = Vec::new();
    while let Some(record) = splitter.next_record().expect("answers are frames") {
        records.push(
            Record::decode(SplitType::RecordIo.content(record.bytes, &mut room)).expect("frames are records"),
        );
    }
    assert_eq!(splitter.finish(), Ok(None));
    assert_eq!(records.len(), 2);
    for (row, record) in records.iter().enumerate() {
        assert!(record.features.is_empty());
        assert_eq!(record.label.keys().collect::<Vec<_>>(), ["predicted_label", "score"]);
        for (name, shape, _, values) in columns {
            let Some(Kind::Float32Tensor(tensor)) = &record.label[name].value else {
                panic!("{name} is no float32 tensor")
            };
            assert_eq!(tensor.values, values[row * shape.width()..(row + 1) * shape.width()]);
        }
        assert_eq!((&record.uid, &record.metadata), (&tags[row].uid, &tags[row].metadata));
    }
}

#[test]
fn verbose_fields_are_shown_when_asked_for() {
    let fields = [
        Field::new("predicted_label", FieldShape::Scalar, NumberStyle::Float),
        Field::new("distances", FieldShape::Vector(2), NumberStyle::Float).verbose(),
    ];
    let mut predictions = Predictions::new();
    predictions.reset(1, &fields, &ResponseLayout::default());
    predictions.fields_mut()[1].values.copy_from_slice(&[0.5, 2.0]);
    let check = |format, verbose, expected: &str| {
        let mut out = Vec::new();
        codecs::encode(&ContentType { verbose, ..ContentType::new(format) }, &predictions, &[], &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    };
    check(Format::JsonLines, false, "{\"predicted_label\": 0.0}\n");
    check(Format::JsonLines, true, "{\"predicted_label\": 0.0, \"distances\": [0.5, 2.0]}\n");
    check(Format::Json, true, "{\"predictions\": [{\"predicted_label\": 0.0, \"distances\": [0.5, 2.0]}]}");
    check(Format::Csv, false, "0.0\n");
    check(Format::Csv, true, "0.0,0.5,2.0\n");
    let bytes = |is_verbose| {
        let accept = ContentType { verbose: is_verbose, ..ContentType::new(Format::RecordIo) };
        let mut out = Vec::new();
        codecs::encode(&accept, &predictions, &[], &mut out);
        out.windows(9).any(|window| window == b"distances")
    };
    assert!(bytes(true) && !bytes(false));
}
