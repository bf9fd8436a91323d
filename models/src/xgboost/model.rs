//! [`XgboostModel`]: one or several boosters behind the [`Model`] trait.

use std::cell::RefCell;

use dmatrix::{DMatrix, IndexBase, Missing, NarrowRows, Predictions, RowSchema, Storage};

use super::booster::Booster;
use super::ensemble::{Ensemble, EnsembleScratch};
use super::output::Output;
use super::scorer::{Scorer, Scratch};
use crate::{Input, LoadError, LoadOptions, Model, PredictError, Signature};

/// The most model files of one artifact. Reason: k-fold training writes tens of them; each costs a whole prediction.
const MEMBERS_MAX: usize = 1000;

thread_local! {
    // A prediction allocates nothing once its thread has scored with the model.
    static SCRATCH: RefCell<EnsembleScratch> = RefCell::default();
}

/// XGBoost models of one artifact, compiled.
///
/// A model is scored as the version that wrote it scores it, and margins are equal to the bit. Where training stopped
/// early and the file says so (`best_ntree_limit` or `best_iteration` among its attributes), the trees of later rounds
/// are left out, as SageMaker's container and XGBoost's scikit-learn interface do; XGBoost's own `Booster.predict`
/// leaves that to its caller.
#[derive(Debug)]
pub struct XgboostModel {
    ensemble: Ensemble,
    output: Output,
    signature: Signature,
}

impl XgboostModel {
    /// The rows of SageMaker's XGBoost, where a manifest does not say otherwise: any value may be missing, and the
    /// features a short row lacks are.
    pub fn default_rows() -> RowSchema {
        RowSchema { narrow_rows: NarrowRows::FillMissing, missing: Missing::Allowed, ..RowSchema::default() }
    }

    /// Compiles the boosters of an artifact, each with the name of its file. Several of them answer together: the mean
    /// of their predictions, or the most frequent class for `multi:softmax` and `binary:hinge`.
    ///
    /// `rows` is [`default_rows`](Self::default_rows) with what the artifact's manifest says; its `columns`, when
    /// given, must be the boosters' own.
    ///
    /// SageMaker's container, with `SAGEMAKER_INFERENCE_ENSEMBLE` off, serves whichever file the directory happens to
    /// list first; here several files are then refused.
    ///
    /// # Errors
    /// When there is no booster, an objective is not known, the boosters do not agree in features, objective and
    /// outputs, or several are given where ensembles are switched off.
    pub fn new(
        mut boosters: Vec<(String, Booster)>,
        mut rows: RowSchema,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        // The sum of a mean is in single precision: its order is fixed by name.
        boosters.sort_by(|(a, _), (b, _)| a.cmp(b));
        let [(first_file, first), ..] = boosters.as_slice() else {
            return Err(LoadError::Unrecognised("the artifact holds no XGBoost model file".to_owned()));
        };
        check_count(&boosters, options)?;
        check_columns(&boosters, rows.columns)?;
        let mut members = Vec::with_capacity(boosters.len());
        for (file, booster) in &boosters {
            members.push(Scorer::new(booster).map_err(|reason| refused(file, reason))?);
        }
        let ensemble =
            Ensemble::new(members).map_err(|(index, reason)| refused(&boosters[index].0, reason))?;
        let scorer = ensemble.first();
        let output = Output::new(
            scorer.objective(),
            &first.objective,
            scorer.prediction_width(),
            scorer.outputs(),
            options,
        );
        rows.columns = Some(usize::try_from(first.num_feature).map_err(|_| {
            refused(first_file, format!("expected a number of features, found {}", first.num_feature))
        })?);
        if options.xgboost_libsvm_one_based {
            rows.libsvm_index_base = IndexBase::One;
        }
        let signature = Signature {
            algorithm: "xgboost",
            rows,
            feature_names: first.feature_names.clone(),
            fields: output.fields().to_vec(),
            layout: output.layout().clone(),
            default_accept: "text/csv",
            undecodable_is_unsupported: true,
            media_types: None,
        };
        Ok(Self { ensemble, output, signature })
    }

    /// The sums of the first booster (by name of its file) before its objective turns them into predictions, one value
    /// an output: what XGBoost calls margins and this crate promises to the bit.
    ///
    /// # Errors
    /// When the rows are too wide or too narrow.
    pub fn margins(&self, rows: &DMatrix) -> Result<Vec<f32>, PredictError> {
        self.check_width(rows)?;
        Ok(self.ensemble.first().margins(rows, 0..rows.rows(), &mut Scratch::default()).to_vec())
    }

    fn check_width(&self, rows: &DMatrix) -> Result<(), PredictError> {
        let (expected, found) = (self.signature.rows.columns.unwrap_or(0), rows.columns());
        let may_be_narrow =
            rows.storage() == Storage::Sparse || self.signature.rows.narrow_rows == NarrowRows::FillMissing;
        if found == expected || rows.is_empty() || (found < expected && may_be_narrow) {
            return Ok(());
        }
        Err(PredictError::Width { expected, found })
    }
}

impl Model for XgboostModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, input: Input<'_>, predictions: &mut Predictions) -> Result<(), PredictError> {
        let Input::Rows(rows) = input;
        if let Some(reason) = self.output.unsupported() {
            return Err(PredictError::Unsupported(reason.to_owned()));
        }
        self.check_width(rows)?;
        predictions.reset(rows.rows(), self.output.fields(), self.output.layout());
        let fields = predictions.fields_mut();
        let (at_once, width) = (self.ensemble.rows_at_once(), self.ensemble.first().prediction_width());
        SCRATCH.with_borrow_mut(|scratch| {
            for first in (0..rows.rows()).step_by(at_once) {
                let last = rows.rows().min(first + at_once);
                let values = self.ensemble.predict(rows, first..last, scratch);
                self.output.write(values, width, first, fields);
            }
        });
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.ensemble.memory_bytes()
    }
}

fn refused(file: &str, reason: String) -> LoadError {
    LoadError::Model { file: file.to_owned(), reason }
}

fn check_count(boosters: &[(String, Booster)], options: &LoadOptions) -> Result<(), LoadError> {
    if boosters.len() > MEMBERS_MAX {
        let reason = format!("expected at most {MEMBERS_MAX} model files, found {}", boosters.len());
        return Err(refused(&boosters[MEMBERS_MAX].0, reason));
    }
    if options.ensemble_disabled && boosters.len() > 1 {
        let reason =
            format!("expected one model file, since ensembles are switched off, found {}", boosters.len());
        return Err(refused(&boosters[1].0, reason));
    }
    Ok(())
}

fn check_columns(boosters: &[(String, Booster)], columns: Option<usize>) -> Result<(), LoadError> {
    let (first_file, first) = &boosters[0];
    let found = first.num_feature;
    if let Some(columns) = columns
        && columns != found as usize
    {
        return Err(refused(
            first_file,
            format!("expected {columns} features, as the manifest says, found {found}"),
        ));
    }
    for (file, booster) in boosters {
        if booster.num_feature != found {
            let reason =
                format!("expected {found} features, as {first_file} has, found {}", booster.num_feature);
            return Err(refused(file, reason));
        }
    }
    Ok(())
}
