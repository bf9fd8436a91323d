//! Whether what a transform is asked to do goes with its model: what only who knows the model can tell.

use codecs::Format;
use codecs::framing::SplitType;
use dmatrix::{CsvHeader, CsvRows};
use transform::settings::{Answers, SettingsError};
use transform::{PayloadLimit, Settings};

use super::batch_server::payload_type;
use crate::faces::runtime::told;
use crate::serving::LoadedModel;

/// `settings`, with what `model` answers.
///
/// # Errors
/// When their outputs would not be what is asked for.
pub(crate) fn fit(settings: Settings, model: &LoadedModel) -> Result<Settings, SettingsError> {
    check_header(&settings, model)?;
    let answers = answers(&settings, model);
    settings.answered(answers)
}

/// What `model` answers. What it does not serve is refused where it is asked.
fn answers(settings: &Settings, model: &LoadedModel) -> Answers {
    let answer_type = model.answer_type.settle(settings.accept.as_deref());
    match answer_type.map_or(Answers::Unknown, Answers::of) {
        Answers::CsvLines if model.model.signature().layout.csv_rows == CsvRows::OneLine => Answers::CsvLine,
        answers => answers,
    }
}

/// A header that the artifact's manifest announces would be looked for in every batch: of those after the first, the first record
/// would be lost.
fn check_header(settings: &Settings, model: &LoadedModel) -> Result<(), SettingsError> {
    let given = settings.content_type.as_deref();
    let is_left_open = payload_type(given)
        .is_ok_and(|content_type| content_type.format == Format::Csv && content_type.header.is_none());
    let is_cut = match settings.split_type {
        SplitType::None => settings.payload_limit == PayloadLimit::Endless,
        SplitType::Line => true,
        SplitType::RecordIo | SplitType::TfRecord => false,
    };
    if model.model.signature().rows.csv_header == CsvHeader::Absent || !is_left_open || !is_cut {
        return Ok(());
    }
    Err(SettingsError::Pairing {
        member: "TransformInput.ContentType",
        expected: "text/csv; header=absent where objects are cut into batches (SplitType Line, or MaxPayloadInMB 0): the \
                   model's manifest says that CSV has a header (csv_header: skip), and only the first batch would have it"
            .to_owned(),
        found: told(given).unwrap_or("none").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use codecs::ContentType;
    use models::LoadOptions;
    use transform::settings::{AssembleWith, ExecutionParameters, Requested};

    use super::*;
    use crate::serving::Loader;

    /// A model of two centroids, whose default answer is a JSON document.
    fn loaded(manifest: &str) -> LoadedModel {
        let scratch = tempfile::tempdir().unwrap();
        let values: Vec<u8> = [0.0_f32, 0.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let head = r#"{"centroids":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        let length = (head.len() as u64).to_le_bytes();
        let folder = scratch.path().join("artifact");
        std::fs::create_dir(&folder).unwrap();
        let model = [&length[..], head.as_bytes(), &values].concat();
        std::fs::write(folder.join("model.safetensors"), model).unwrap();
        let manifest = format!(r#"{{"algorithm": "kmeans", "k": 2, "feature_dim": 2{manifest}}}"#);
        std::fs::write(folder.join("manifest.json"), manifest).unwrap();
        let scratch = scratch.path().to_owned();
        let loader = Loader { scratch, options: LoadOptions::default(), default_accept: None };
        loader.load(&loader.open(&folder).unwrap()).unwrap()
    }

    fn lines(content_type: Option<&str>, accept: Option<&str>) -> Requested {
        Requested {
            content_type: content_type.map(str::to_owned),
            accept: accept.map(str::to_owned),
            split_type: Some(SplitType::Line),
            assemble_with: Some(AssembleWith::Line),
            ..Requested::default()
        }
    }

    /// `expected`: what the answers are, or a part of the refusal.
    #[track_caller]
    fn check(model: &LoadedModel, requested: Requested, expected: Result<Answers, &str>) {
        let settings = requested.resolve(ExecutionParameters::default()).unwrap().settings;
        match (fit(settings, model), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.answers, expected),
            (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn where_nothing_is_accepted_by_name_the_model_says() {
        let model = loaded("");
        check(&model, lines(None, None), Ok(Answers::JsonDocument));
        check(&model, lines(None, Some("*/*")), Ok(Answers::JsonDocument));
        check(&model, lines(None, Some("text/csv;q=0.9, application/jsonlines")), Ok(Answers::JsonLines));
        check(&model, lines(None, Some("text/csv")), Ok(Answers::CsvLines));
        let endless = Requested { payload_mb: Some(0), ..lines(None, None) };
        check(&model, endless, Err("MaxPayloadInMB 0"));
        let joined = Requested { join: true, ..lines(Some("text/csv"), Some("*/*")) };
        check(&model, joined, Ok(Answers::CsvLines));
    }

    #[test]
    fn an_answer_type_may_be_fixed() {
        let mut model = loaded("");
        assert_eq!(answers(&Settings::default(), &model), Answers::JsonDocument);
        model.answer_type = crate::serving::AnswerType::Fixed(ContentType::new(Format::Csv));
        assert_eq!(answers(&Settings::default(), &model), Answers::CsvLines);
    }

    #[test]
    fn a_manifests_header_and_batches_do_not_go_together() {
        let model = loaded(r#", "csv_header": "skip""#);
        let refused = Err("the model's manifest says that CSV has a header");
        let accept = Some("text/csv");
        check(&model, lines(None, accept), refused);
        check(&model, lines(Some("text/csv"), accept), refused);
        check(&model, lines(Some("text/csv;header=absent"), accept), Ok(Answers::CsvLines));
        check(&model, lines(Some("application/jsonlines"), accept), Ok(Answers::CsvLines));
        let whole = |payload_mb| Requested {
            split_type: None,
            payload_mb: Some(payload_mb),
            ..lines(Some("text/csv"), accept)
        };
        check(&model, whole(6), Ok(Answers::CsvLines));
        check(&model, whole(0), refused);
        check(&loaded(""), lines(None, accept), Ok(Answers::CsvLines));
    }
}
