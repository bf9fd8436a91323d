//! The second moment's action on a block of vectors, without forming it.
//!
//! E2 = avg (c cᵀ − diag(c)) / (L(L−1)); M2 = E2 − α0/(α0+1)·M1⊗M1, where M1 = avg c/L.

use estimator::{Job, Rows, TrainError};
use nalgebra::{DMatrix, DVector};

use crate::sweep::{Document, PARTS, Seen, sweep};

/// M1, and M2 applied to a block.
#[derive(Debug)]
pub(crate) struct Second {
    pub(crate) mean: DVector<f64>,
    /// words × block.
    pub(crate) product: DMatrix<f64>,
    pub(crate) seen: Seen,
}

/// One part's sums.
struct Sums {
    mean: Vec<f64>,
    /// words × block, row-major: a document adds to the rows of its words.
    product: Vec<f64>,
    image: Vec<f64>,
}

impl Second {
    /// Reads all documents once; `block` is words × b.
    ///
    /// # Errors
    /// When a count is not one, no document has three words, or a stop is asked for.
    pub(crate) fn of(
        job: &Job,
        rows: &mut Rows,
        block: &DMatrix<f64>,
        alpha0: f64,
    ) -> Result<Self, TrainError> {
        let (words, width) = block.shape();
        let vectors: Vec<f64> = block.transpose().as_slice().to_vec();
        let empty =
            || Sums { mean: vec![0.0; words], product: vec![0.0; words * width], image: vec![0.0; width] };
        let mut parts: Vec<Sums> = (0..PARTS).map(|_| empty()).collect();
        let seen = sweep(job, rows, &mut parts, |sums, document| sums.add(document, &vectors))?;
        let documents = (seen.documents - seen.dropped) as f64;
        if documents == 0.0 {
            return Err(TrainError::client(format!(
                "channel train: expected documents of at least 3 words, found none among {}",
                seen.documents
            )));
        }
        let mut total = parts.remove(0);
        for part in parts {
            total.mean.iter_mut().zip(part.mean).for_each(|(sum, value)| *sum += value);
            total.product.iter_mut().zip(part.product).for_each(|(sum, value)| *sum += value);
        }
        let mean = DVector::from_vec(total.mean) / documents;
        let product = DMatrix::from_row_slice(words, width, &total.product) / documents;
        let shared = block.tr_mul(&mean) * (alpha0 / (alpha0 + 1.0));
        Ok(Self { product: product - &mean * shared.transpose(), mean, seen })
    }
}

impl Sums {
    fn add(&mut self, document: &Document, vectors: &[f64]) {
        let width = self.image.len();
        self.image.fill(0.0);
        for &(word, count) in &document.counts {
            self.mean[word] += count / document.length;
            let vector = &vectors[word * width..(word + 1) * width];
            self.image.iter_mut().zip(vector).for_each(|(sum, value)| *sum += count * value);
        }
        let weight = 1.0 / (document.length * (document.length - 1.0));
        for &(word, count) in &document.counts {
            let row = word * width..(word + 1) * width;
            let sums = self.product[row.clone()].iter_mut().zip(&self.image).zip(&vectors[row]);
            sums.for_each(|((sum, image), own)| *sum += weight * count * (image - own));
        }
    }
}
