//! The words of `clary transform`'s flags: as SageMaker's API spells them, or in any case, with hyphens or underscores.

use codecs::framing::SplitType;
use transform::ErrorPolicy;
use transform::settings::{AssembleWith, BatchStrategy, Compression};

use super::JoinSource;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressKind {
    /// A bar on a terminal, else lines.
    Auto,
    /// A bar.
    Bar,
    /// A line a minute.
    Lines,
    /// Not at all.
    None,
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The value whose name is `text`.
fn word<T: Copy>(text: &str, named: &[(&str, T)]) -> Result<T, String> {
    let found = named.iter().find(|(name, _)| plain(name) == plain(text));
    found.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<_> = named.iter().map(|&(name, _)| name).collect();
        format!("expected {}, found {text:?}", names.join(" or "))
    })
}

pub(super) fn compression(text: &str) -> Result<Compression, String> {
    word(text, &[("None", Compression::None), ("Gzip", Compression::Gzip)])
}

pub(super) fn split_type(text: &str) -> Result<SplitType, String> {
    let named = [
        ("None", SplitType::None),
        ("Line", SplitType::Line),
        ("RecordIO", SplitType::RecordIo),
        ("TFRecord", SplitType::TfRecord),
    ];
    word(text, &named)
}

pub(super) fn batch_strategy(text: &str) -> Result<BatchStrategy, String> {
    let named = [("MultiRecord", BatchStrategy::MultiRecord), ("SingleRecord", BatchStrategy::SingleRecord)];
    word(text, &named)
}

pub(super) fn assemble_with(text: &str) -> Result<AssembleWith, String> {
    word(text, &[("None", AssembleWith::None), ("Line", AssembleWith::Line)])
}

pub(super) fn join_source(text: &str) -> Result<JoinSource, String> {
    word(text, &[("None", JoinSource::None), ("Input", JoinSource::Input)])
}

pub(super) fn error_policy(text: &str) -> Result<ErrorPolicy, String> {
    let named = [
        ("fail", ErrorPolicy::Fail),
        ("placeholder", ErrorPolicy::Placeholder),
        ("quarantine", ErrorPolicy::Quarantine),
    ];
    word(text, &named)
}

pub(super) fn progress(text: &str) -> Result<ProgressKind, String> {
    let named = [
        ("auto", ProgressKind::Auto),
        ("bar", ProgressKind::Bar),
        ("lines", ProgressKind::Lines),
        ("none", ProgressKind::None),
    ];
    word(text, &named)
}
