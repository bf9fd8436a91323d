//! Filters, joins and inference ids through the public functions: what is sent, what is written, what is refused.

mod csv;
mod json;
mod oracle;
mod rules;

use codecs::framing::SplitType;
use transform::process::{DataProcessing, ObjectId, ProcessError, Processing};
use transform::settings::AssembleWith;

const CSV: DataProcessing<'static> = lines("text/csv");
const JSON_LINES: DataProcessing<'static> = lines("application/jsonlines");
const JSON: DataProcessing<'static> = DataProcessing {
    split_type: SplitType::None,
    assemble_with: AssembleWith::None,
    ..lines("application/json")
};

const fn lines(content_type: &'static str) -> DataProcessing<'static> {
    DataProcessing {
        input_filter: None,
        joins_input: false,
        output_filter: None,
        inference_ids: None,
        content_type: Some(content_type),
        accept: None,
        split_type: SplitType::Line,
        assemble_with: AssembleWith::Line,
        slices_include_end: false,
    }
}

fn processing(asked: &DataProcessing<'_>) -> Processing {
    Processing::parse(asked).expect("a transform that is served").expect("something to do")
}

/// What stands before what is appended, and must still stand there.
const BEFORE: &[u8] = b"before\n";

/// What a function appends to a buffer; on an error it must have left the buffer as it was.
fn appended(append: impl FnOnce(&mut Vec<u8>) -> Result<(), ProcessError>) -> Result<String, ProcessError> {
    let mut out = BEFORE.to_vec();
    let result = append(&mut out);
    let appended = out.strip_prefix(BEFORE).expect("what stood there stands there");
    assert!(result.is_ok() || appended.is_empty(), "a refused record leaves nothing behind: {result:?}");
    result.map(|()| String::from_utf8(appended.to_vec()).expect("UTF-8 in, UTF-8 out"))
}

fn request(asked: &DataProcessing<'_>, record: &str) -> Result<String, ProcessError> {
    appended(|out| processing(asked).request(record.as_bytes(), out))
}

fn response(asked: &DataProcessing<'_>, record: &str, answer: &str) -> Result<String, ProcessError> {
    let object = ObjectId::new("job", "in/a");
    appended(|out| processing(asked).response(record.as_bytes(), answer.as_bytes(), object.record(7), out))
}
