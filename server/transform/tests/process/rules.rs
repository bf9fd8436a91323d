//! Which requests are served: what goes together, and what is asked of the model.

use codecs::framing::SplitType;
use transform::process::{DataProcessing, Processing};
use transform::settings::{AssembleWith, InferenceIds};

use crate::{CSV, JSON, JSON_LINES, processing};

fn check_error(asked: &DataProcessing<'_>, expected: &str) {
    assert_eq!(Processing::parse(asked).expect_err(expected).to_string(), expected);
}

fn check_accept(asked: &DataProcessing<'_>, accept: Option<&str>, expected: &str) {
    let asked = DataProcessing { joins_input: true, accept, ..*asked };
    assert_eq!(processing(&asked).accept(), expected);
}

#[test]
fn nothing_asked_is_no_processing_and_no_rule() {
    let asked = DataProcessing {
        input_filter: Some("$"),
        output_filter: Some("$"),
        content_type: Some("application/x-recordio-protobuf"),
        accept: Some("application/json"),
        split_type: SplitType::RecordIo,
        ..DataProcessing::default()
    };
    assert_eq!(Processing::parse(&asked), Ok(None));
    assert_eq!(Processing::parse(&DataProcessing::default()), Ok(None));
}

#[test]
fn what_need_not_be_called() {
    let flags = |asked: &DataProcessing<'_>| {
        let processing = processing(asked);
        (processing.sends_records_whole(), processing.writes_answers_whole())
    };
    let ids = InferenceIds { started: "2022-08-30T00:49:15Z".to_owned() };
    assert_eq!(flags(&DataProcessing { input_filter: Some("$[1:]"), ..CSV }), (false, true));
    assert_eq!(flags(&DataProcessing { output_filter: Some("$[1:]"), ..CSV }), (true, false));
    assert_eq!(flags(&DataProcessing { joins_input: true, ..CSV }), (true, false));
    assert_eq!(flags(&DataProcessing { inference_ids: Some(&ids), ..CSV }), (true, false));
    assert_eq!(
        flags(&DataProcessing { input_filter: Some("$[*]"), joins_input: true, ..CSV }),
        (true, false)
    );
}

#[test]
fn an_answer_is_of_the_kind_of_the_record() {
    check_accept(&CSV, None, "text/csv");
    check_accept(&CSV, Some("*/*"), "text/csv");
    check_accept(&CSV, Some(""), "text/csv");
    check_accept(&CSV, Some("text/csv; x=1"), "text/csv; x=1");
    check_accept(&DataProcessing { content_type: None, ..CSV }, None, "text/csv");
    check_accept(&DataProcessing { content_type: Some("Text/CSV; label_size=1"), ..CSV }, None, "text/csv");
    check_accept(&JSON, None, "application/json");
    check_accept(&JSON, Some("application/json"), "application/json");
    check_accept(&JSON_LINES, None, "application/jsonlines");
    check_accept(&JSON_LINES, Some("application/x-ndjson"), "application/x-ndjson");
    for accept in ["application/json", "nonsense", "text/csv;q=0.1, application/json"] {
        check_error(
            &DataProcessing { joins_input: true, accept: Some(accept), ..CSV },
            &format!(
                "TransformOutput.Accept: expected text/csv, as ContentType, since answers are processed, found {accept:?}"
            ),
        );
    }
}

#[test]
fn only_csv_and_json_are_processed() {
    for content_type in ["text/libsvm", "application/x-recordio-protobuf", "text/plain", ""] {
        check_error(
            &DataProcessing { joins_input: true, content_type: Some(content_type), ..CSV },
            &format!(
                "TransformInput.ContentType: expected text/csv, application/json or application/jsonlines, which filters, \
                 joins and inference ids need, found {content_type:?}"
            ),
        );
    }
}

#[test]
fn records_are_assembled_as_they_are_split() {
    let check = |asked: DataProcessing<'_>, member: &str, expected: &str, found: &str| {
        let expected =
            format!("{member}: expected {expected} with filters, joins or inference ids, found {found}");
        check_error(&DataProcessing { joins_input: true, ..asked }, &expected);
    };
    let split = |asked: DataProcessing<'static>, split_type| DataProcessing { split_type, ..asked };
    let assemble = |asked: DataProcessing<'static>, assemble_with| DataProcessing { assemble_with, ..asked };
    const SPLIT: &str = "TransformInput.SplitType";
    const ASSEMBLE: &str = "TransformOutput.AssembleWith";
    check(split(CSV, SplitType::None), SPLIT, "Line, for text/csv", "None");
    check(split(CSV, SplitType::RecordIo), SPLIT, "Line, for text/csv", "RecordIO");
    check(split(JSON_LINES, SplitType::TfRecord), SPLIT, "Line, for application/jsonlines", "TFRecord");
    check(split(JSON, SplitType::Line), SPLIT, "None, for application/json", "Line");
    check(assemble(CSV, AssembleWith::None), ASSEMBLE, "Line, for text/csv", "None");
    check(assemble(JSON, AssembleWith::Line), ASSEMBLE, "None, for application/json", "Line");
}

#[test]
fn paths_are_checked_before_a_record_is_read() {
    check_error(
        &DataProcessing { input_filter: Some("$.features"), ..CSV },
        "DataProcessing.InputFilter \"$.features\", character 2: expected indexes and slices, as in $[0,2:] (a CSV record is \
         a flat array without names), found \".features\"",
    );
    check_error(
        &DataProcessing { output_filter: Some("$[0"), ..JSON },
        "DataProcessing.OutputFilter \"$[0\", character 4: expected ',' or ']', found the end",
    );
    check_error(
        &DataProcessing { input_filter: Some(""), ..CSV },
        "DataProcessing.InputFilter \"\", character 1: expected '$', where every path starts, found the end",
    );
}
