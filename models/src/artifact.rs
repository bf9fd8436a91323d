//! An artifact: what `model.tar.gz`, a directory or a bare model file holds, checked and ready to load.
//!
//! The one idea: opening settles which files there are, which family reads them and what was assumed; loading only
//! parses. Both are held together by digests.

use std::borrow::Cow;
use std::path::Path;

use dmatrix::{DMatrix, Missing, RowSchema};

use crate::factorization_machines::FactorizationMachines;
use crate::kmeans::Kmeans;
use crate::knn::Knn;
use crate::lda::Lda;
use crate::linear_learner::LinearLearner;
use crate::manifest::{self, Algorithm, MANIFEST_BYTES_MAX, Manifest};
use crate::members::{self, Members};
use crate::mxnet::{self, Foreign};
use crate::pca::Pca;
use crate::randomcutforest::RandomCutForest;
use crate::recognise::{self, Recognised};
use crate::xgboost::booster::Booster;
use crate::xgboost::{self, XgboostModel};
use crate::{LoadError, LoadOptions, Model, Signature, archive, tensors};

pub use crate::members::Member;

/// A checked, unpacked artifact. Removes what it unpacked when it is dropped.
///
/// ```
/// use models::kmeans::Kmeans;
/// use models::{Algorithm, Artifact, LoadOptions, Manifest, archive};
///
/// let manifest = Manifest::new(Algorithm::Kmeans);
/// let members = Kmeans::new(&manifest, vec![0.0, 0.0, 3.0, 4.0], 2)?.to_members(&[]);
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.tar.gz");
/// std::fs::write(&path, archive::pack(&manifest, &members, Vec::new())?)?;
///
/// let artifact = Artifact::open(&path, &folder.path().join("scratch"))?;
/// let model = artifact.load(&LoadOptions::default())?;
/// assert_eq!(model.signature().rows.columns, Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Artifact {
    members: Members,
    manifest: Manifest,
    /// The members that make the model, in the order they are read.
    model_files: Vec<Member>,
    assumptions: Vec<String>,
}

impl Artifact {
    /// Opens `path`: an archive (unpacked under `scratch`, capped and path-safe), a directory, or a bare model file.
    /// An archive is what begins as gzip or tar does, or is named `.tar.gz`, `.tgz` or `.tar`.
    ///
    /// # Errors
    /// When it is unsafe, damaged, over a limit, its manifest is not one or contradicts the members, or none of its
    /// files is a model that is known.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, LoadError> {
        let kind =
            std::fs::metadata(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let members = if kind.is_dir() {
            Members::of_directory(path)?
        } else if !kind.is_file() {
            let found = path.display();
            return Err(LoadError::Unrecognised(format!(
                "expected a file or a directory, found {found}, a special file"
            )));
        } else if archive::is_archive_name(path) || archive::is_archive(&members::peek::<512>(path)?) {
            Members::of_archive(archive::unpack(path, scratch)?)
        } else {
            Members::of_file(path)?
        };
        Self::of_members(members)
    }

    /// What the artifact says of itself; documented defaults where it says nothing.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256, lower-case hexadecimal: of the archive's bytes, of the bare file's, or of a directory's sorted members.
    pub fn digest(&self) -> &str {
        self.members.digest()
    }

    /// What was assumed because the artifact does not say; one sentence each, for `clary check`.
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    /// The files, sorted by name.
    pub fn members(&self) -> &[Member] {
        self.members.list()
    }

    /// Parses the model.
    ///
    /// # Errors
    /// When the model file is damaged, hostile, of a kind that is not served, or was replaced since the opening.
    pub fn load(&self, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        match self.manifest.algorithm {
            Algorithm::Xgboost => self.load_xgboost(options),
            algorithm => self.load_tensors(algorithm),
        }
    }

    /// Rows to score before the model is published: the manifest's, else one row of zeros, as wide as `signature` says.
    pub fn warm_up_rows(&self, signature: &Signature) -> DMatrix {
        let columns = signature.rows.columns.unwrap_or_default();
        let mut rows = DMatrix::new();
        let values = rows.begin_dense();
        for row in self.manifest.warm_up.iter().filter(|row| row.len() == columns) {
            values.extend(row.iter().map(|value| match (value, signature.rows.missing) {
                (None, _) => f32::NAN,
                (Some(value), Missing::Sentinel(sentinel)) if *value == sentinel => f32::NAN,
                (Some(value), _) => *value,
            }));
        }
        if values.is_empty() {
            values.resize(columns, 0.0);
        }
        rows.finish_dense(columns);
        rows
    }

    fn of_members(members: Members) -> Result<Self, LoadError> {
        let (manifest, mut assumptions) = match members.find(manifest::FILE_NAME) {
            None => (None, Vec::new()),
            Some(member) => {
                let (manifest, unknown) = Manifest::from_json(&members.read(member, MANIFEST_BYTES_MAX)?)?;
                check_digests(&manifest, &members)?;
                let passed_over =
                    |key| format!("manifest.json: the key {key:?} is not known and was passed over");
                (Some(manifest), unknown.into_iter().map(passed_over).collect())
            }
        };
        let recognised = recognise::recognise(&members, manifest.as_ref())?;
        let Recognised { algorithm, model_files, assumptions: more } = recognised;
        assumptions.extend(more);
        if let Some(manifest) = &manifest {
            check_listed(manifest, &model_files)?;
        }
        let manifest = manifest.unwrap_or_else(|| Manifest::new(algorithm));
        Ok(Self { members, manifest, model_files, assumptions })
    }

    /// Name and bytes of the one model file of the families that have one; training goes on from it.
    ///
    /// # Errors
    /// When the file cannot be read, or was replaced since the opening.
    pub fn read_only_file(&self) -> Result<(&str, Vec<u8>), LoadError> {
        let member = self.model_files.first().expect("recognising found a model file");
        Ok((&member.name, self.members.read(member, u64::MAX)?))
    }

    /// The families of `model.safetensors`; the files of SageMaker's own containers are made into one.
    fn load_tensors(&self, algorithm: Algorithm) -> Result<Box<dyn Model>, LoadError> {
        let (file, mut bytes) = self.read_only_file()?;
        let mut manifest = Cow::Borrowed(&self.manifest);
        if file == mxnet::FILE_NAME {
            let foreign = Foreign::read(file, &bytes)?;
            if foreign.algorithm != algorithm {
                let (expected, found) = (algorithm.name(), foreign.algorithm.name());
                return Err(tensors::refuse(
                    file,
                    format!("expected a model of {expected}, found one of {found}"),
                ));
            }
            manifest = Cow::Owned(foreign.complete(file, &manifest)?);
            bytes = foreign.to_safetensors();
        }
        let model: Box<dyn Model> = match algorithm {
            Algorithm::Xgboost => unreachable!("it has readers of its own"),
            Algorithm::LinearLearner => Box::new(LinearLearner::from_safetensors(file, &bytes, &manifest)?),
            Algorithm::Kmeans => Box::new(Kmeans::from_safetensors(file, &bytes, &manifest)?),
            Algorithm::Pca => Box::new(Pca::from_safetensors(file, &bytes, &manifest)?),
            Algorithm::Knn => Box::new(Knn::from_safetensors(file, &bytes, &manifest)?),
            Algorithm::FactorizationMachines => {
                Box::new(FactorizationMachines::from_safetensors(file, &bytes, &manifest)?)
            }
            Algorithm::RandomCutForest => {
                Box::new(RandomCutForest::from_safetensors(file, &bytes, &manifest)?)
            }
            Algorithm::Lda => Box::new(Lda::from_safetensors(file, &bytes, &manifest)?),
        };
        Ok(model)
    }

    fn load_xgboost(&self, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let boosters = self.model_files.iter().map(|member| {
            let bytes = self.members.read(member, u64::MAX)?;
            let mut booster = xgboost::reader::read(&member.name, &bytes)?;
            self.agree(&member.name, &mut booster)?;
            Ok((member.name.clone(), booster))
        });
        let boosters: Vec<(String, Booster)> = boosters.collect::<Result<_, LoadError>>()?;
        let rows = RowSchema { columns: None, ..self.manifest.row_schema(0) };
        Ok(Box::new(XgboostModel::new(boosters, rows, options)?))
    }

    /// Holds a booster to the manifest, and gives it the manifest's names where it has none.
    fn agree(&self, file: &str, booster: &mut Booster) -> Result<(), LoadError> {
        let columns = usize::try_from(booster.num_feature).map_err(|_| {
            tensors::refuse(file, format!("expected fewer features, found {}", booster.num_feature))
        })?;
        self.manifest.check_width(columns)?;
        let names = &self.manifest.features;
        if booster.feature_names.is_empty() {
            booster.feature_names.clone_from(names);
        }
        let differs = |(ours, theirs): &(&String, &String)| ours != theirs;
        match names.iter().zip(&booster.feature_names).position(|pair| differs(&pair)) {
            None => Ok(()),
            Some(index) => Err(LoadError::Manifest(format!(
                "features[{index}]: expected {:?} as {file} says, found {:?}",
                booster.feature_names[index], names[index]
            ))),
        }
    }
}

/// Holds the members to the digests of the manifest.
fn check_digests(manifest: &Manifest, members: &Members) -> Result<(), LoadError> {
    for (name, expected) in &manifest.sha256 {
        let refuse = |found: &str| {
            LoadError::Manifest(format!("sha256[{name:?}]: expected {expected}, found {found}"))
        };
        match members.find(name) {
            None => return Err(refuse("no such member")),
            Some(member) if member.sha256 != *expected => return Err(refuse(&member.sha256)),
            Some(_) => {}
        }
    }
    Ok(())
}

/// A manifest that has digests has those of the model files, too: what is not listed was put there later.
fn check_listed(manifest: &Manifest, model_files: &[Member]) -> Result<(), LoadError> {
    let unlisted = |file: &&Member| !manifest.sha256.is_empty() && !manifest.sha256.contains_key(&file.name);
    match model_files.iter().find(unlisted) {
        None => Ok(()),
        Some(file) => Err(LoadError::Manifest(format!(
            "sha256: expected the digest of {:?}, found no such key",
            file.name
        ))),
    }
}
