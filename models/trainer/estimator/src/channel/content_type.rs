//! The content types of training channels, with the short names of SageMaker's container.

use codecs::{ContentType, Format};

use crate::{Labels, TrainError};

/// What a channel may hold, in the words of a message.
const SERVED: &str = "text/csv, text/libsvm, text/x-libsvm, application/x-recordio-protobuf, \
                      application/x-parquet, csv, libsvm, recordio-protobuf, parquet";

/// What the files of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingContent {
    /// Records one after the other, as requests have them.
    Records(ContentType),
    /// Parquet files, which are read from their end: never by pipe.
    Parquet,
}

/// Reads a training content type, with the short names of SageMaker's container. `labels` say what a `label_size` that is
/// not given is.
///
/// # Errors
/// When the type is not one that carries rows to train on.
pub fn training_content_type(name: &str, labels: Labels) -> Result<TrainingContent, TrainError> {
    let full = name.trim();
    if ["parquet", "application/x-parquet"].iter().any(|known| full.eq_ignore_ascii_case(known)) {
        return Ok(TrainingContent::Parquet);
    }
    let mut content_type = ContentType::parse(full)
        .map_err(|error| TrainError::client(format!("content type {name:?}: {error}")))?;
    match content_type.format {
        Format::Csv if content_type.label_size > 1 => Err(TrainError::client(format!(
            "content type {name:?}: expected label_size=1, found {}",
            content_type.label_size
        ))),
        Format::Csv => {
            let is_said = full.to_ascii_lowercase().contains("label_size");
            match labels {
                Labels::Required => content_type.label_size = 1,
                Labels::Optional if !is_said => content_type.label_size = 1,
                Labels::Optional | Labels::Ignored => {}
            }
            Ok(TrainingContent::Records(content_type))
        }
        Format::LibSvm | Format::RecordIo => Ok(TrainingContent::Records(content_type)),
        Format::Json | Format::JsonLines => Err(TrainError::client(format!(
            "content type {name:?} carries no labels: expected one of {SERVED}"
        ))),
    }
}
