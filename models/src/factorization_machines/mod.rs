//! Factorization machines: linear models with factorized interactions of pairs of features.

use dmatrix::Predictions;

use crate::manifest::Manifest;
use crate::tensors::refuse;
use crate::{Input, LoadError, Model, PredictError, Signature};

/// The keys of its manifest.
pub(crate) const DETAILS: &[&str] = &[];

/// A model in memory.
#[derive(Debug)]
pub struct FactorizationMachines {
    signature: Signature,
}

impl FactorizationMachines {
    /// Reads `model.safetensors`.
    ///
    /// # Errors
    /// When the file is damaged, or is not what the manifest describes.
    pub fn from_safetensors(file: &str, _bytes: &[u8], _manifest: &Manifest) -> Result<Self, LoadError> {
        Err(refuse(file, "this family is not served by this version"))
    }
}

impl Model for FactorizationMachines {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, _input: Input<'_>, _predictions: &mut Predictions) -> Result<(), PredictError> {
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
