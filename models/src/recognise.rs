//! Which family reads an artifact, and which files: from the manifest, or by documented rules that are reported.

use crate::manifest::{self, Algorithm, Manifest};
use crate::members::{Member, Members};
use crate::mxnet::{self, Foreign};
use crate::{LoadError, tensors};

/// The name SageMaker's XGBoost container gives its model; several files whose names begin so are an ensemble.
const XGBOOST_MODEL: &str = "xgboost-model";

/// What was found, and what was assumed to find it.
#[derive(Debug)]
pub(crate) struct Recognised {
    pub(crate) algorithm: Algorithm,
    pub(crate) model_files: Vec<Member>,
    pub(crate) assumptions: Vec<String>,
}

/// Finds the model files.
pub(crate) fn recognise(members: &Members, manifest: Option<&Manifest>) -> Result<Recognised, LoadError> {
    let candidates: Vec<&Member> =
        members.list().iter().filter(|member| is_candidate(&member.name)).collect();
    let mut assumptions = Vec::new();
    let (algorithm, files) = match manifest {
        Some(manifest) => (manifest.algorithm, files_of(manifest.algorithm, &candidates)?),
        None => without_manifest(members, &candidates, &mut assumptions)?,
    };
    if files.len() > 1 {
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assumptions.push(format!("The model is an ensemble of the files {}.", names.join(", ")));
    }
    Ok(Recognised { algorithm, model_files: files.into_iter().cloned().collect(), assumptions })
}

/// A file at the top that could be a model.
fn is_candidate(name: &str) -> bool {
    !name.contains('/') && !name.starts_with('.') && name != manifest::FILE_NAME
}

fn files_of<'a>(algorithm: Algorithm, candidates: &[&'a Member]) -> Result<Vec<&'a Member>, LoadError> {
    let named = |name: &str| candidates.iter().find(|member| member.name == name).map(|member| vec![*member]);
    let found = match algorithm {
        Algorithm::Xgboost => xgboost_files(candidates).or(match candidates {
            [only] => Some(vec![*only]),
            _ => None,
        }),
        Algorithm::Knn | Algorithm::RandomCutForest => named(tensors::FILE_NAME),
        _ => named(tensors::FILE_NAME).or_else(|| named(mxnet::FILE_NAME)),
    };
    found.ok_or_else(|| {
        let expected = match algorithm {
            Algorithm::Xgboost => "a file xgboost-model, or one single file",
            Algorithm::Knn | Algorithm::RandomCutForest => "a file model.safetensors",
            _ => "a file model.safetensors or model_algo-1",
        };
        let name = algorithm.name();
        LoadError::Unrecognised(format!(
            "expected {expected} for algorithm {name}, found {}",
            listed(candidates)
        ))
    })
}

fn xgboost_files<'a>(candidates: &[&'a Member]) -> Option<Vec<&'a Member>> {
    let files: Vec<_> =
        candidates.iter().copied().filter(|member| member.name.starts_with(XGBOOST_MODEL)).collect();
    (!files.is_empty()).then_some(files)
}

fn without_manifest<'a>(
    members: &Members,
    candidates: &[&'a Member],
    assumptions: &mut Vec<String>,
) -> Result<(Algorithm, Vec<&'a Member>), LoadError> {
    let (algorithm, files, reason) = if let Some(files) = xgboost_files(candidates) {
        let reason =
            format!("a file is named {:?}, as SageMaker's XGBoost container names its model", files[0].name);
        (Algorithm::Xgboost, files, reason)
    } else if candidates.iter().any(|member| member.name == tensors::FILE_NAME) {
        return Err(LoadError::Unrecognised(
            "expected manifest.json beside model.safetensors, since tensors alone do not say which algorithm reads them"
                .into(),
        ));
    } else if let Some(member) = candidates.iter().copied().find(|member| member.name == mxnet::FILE_NAME) {
        let algorithm = Foreign::read(&member.name, &members.read(member, u64::MAX)?)?.algorithm;
        let reason = format!(
            "the file {:?} is an MXNet model, as SageMaker's {} writes it",
            member.name,
            algorithm.name()
        );
        (algorithm, vec![member], reason)
    } else if let [member] = candidates
        && begins_as_xgboost(&members.peek::<512>(member)?)
    {
        let reason = format!("the one file {:?} begins as XGBoost's files do", member.name);
        (Algorithm::Xgboost, vec![*member], reason)
    } else {
        return Err(LoadError::Unrecognised(format!(
            "expected manifest.json, xgboost-model, model_algo-1 or one XGBoost file, found {}",
            listed(candidates)
        )));
    };
    assumptions
        .push(format!("There is no manifest.json; the algorithm is {}, since {reason}.", algorithm.name()));
    assumptions.extend(defaults(algorithm).map(str::to_owned));
    Ok((algorithm, files))
}

/// The documented defaults, a sentence each.
fn defaults(algorithm: Algorithm) -> impl Iterator<Item = &'static str> {
    let missing = match algorithm {
        Algorithm::Xgboost => [
            "Empty CSV cells, JSON nulls and NaN are missing values; a feature absent from a sparse row is missing.",
            "A row with fewer features than the model is filled with missing values at its end.",
        ],
        _ => [
            "Missing values are refused; a feature absent from a sparse row is 0.",
            "A row with fewer features than the model is refused.",
        ],
    };
    let common = [
        "The number of features is the model file's.",
        "libsvm indices start at 0.",
        "CSV has no header: every line is a row.",
        "The warm-up row is all zeros.",
        "The files are not checked against digests.",
    ];
    common.into_iter().chain(missing)
}

/// Whether a file may be XGBoost's: JSON and UBJSON objects, a pickle, or a binary that names itself or its booster
/// near its start. The reader decides.
fn begins_as_xgboost(bytes: &[u8]) -> bool {
    let has_magic = [&b"{"[..], b"binf", b"bs64", b"\x80"].iter().any(|magic| bytes.starts_with(magic));
    let names = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    has_magic || [&b"xgboost"[..], b"gbtree", b"gblinear", b"dart"].into_iter().any(names)
}

fn listed(candidates: &[&Member]) -> String {
    /// Names in a message; the rest are counted.
    const NAMES_MAX: usize = 8;
    if candidates.is_empty() {
        return "no file at the top".into();
    }
    let mut names: Vec<_> =
        candidates.iter().take(NAMES_MAX).map(|member| format!("{:?}", member.name)).collect();
    if candidates.len() > NAMES_MAX {
        names.push(format!("{} more", candidates.len() - NAMES_MAX));
    }
    names.join(", ")
}
