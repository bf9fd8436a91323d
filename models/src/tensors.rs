//! `model.safetensors`, read and written with our bounds: named tensors of known type and shape, all finite.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::LoadError;

/// The member's name.
pub(crate) const FILE_NAME: &str = "model.safetensors";

/// The most bytes of the JSON header. Reason: our artifacts hold at most nine tensors, of about 100 bytes each there.
const HEADER_BYTES_MAX: u64 = 64 << 10;

/// The tensors of one file, taken by name.
pub(crate) struct Tensors<'a> {
    file: &'a str,
    tensors: SafeTensors<'a>,
    known: &'a [&'a str],
}

impl<'a> Tensors<'a> {
    /// Reads the header of `bytes`; a tensor that is not among `known` is refused, since it may matter.
    pub(crate) fn read(file: &'a str, bytes: &'a [u8], known: &'a [&'a str]) -> Result<Self, LoadError> {
        let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
        match header {
            None => {
                return Err(refuse(
                    file,
                    format!("expected a safetensors file, found {} bytes", bytes.len()),
                ));
            }
            Some(length) if length > HEADER_BYTES_MAX => {
                let reason = format!(
                    "expected a safetensors header of at most {HEADER_BYTES_MAX} bytes, found {length}"
                );
                return Err(refuse(file, reason));
            }
            Some(_) => {}
        }
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| refuse(file, format!("expected a safetensors file: {error}")))?;
        let mut names = tensors.names();
        names.sort_unstable();
        if let Some(name) = names.into_iter().find(|name| !known.contains(name)) {
            return Err(refuse(file, format!("expected tensors {}, found {name:?}", known.join(", "))));
        }
        Ok(Self { file, tensors, known })
    }

    /// The shape and values of an f32 tensor of rank `R`, no side of which is 0, and all of which are finite.
    pub(crate) fn single<const R: usize>(&self, name: &str) -> Result<([usize; R], Vec<f32>), LoadError> {
        let tensor = self.tensors.tensor(name).map_err(|_| {
            refuse(self.file, format!("tensor {name}: expected among {}, found none", self.known.join(", ")))
        })?;
        let shape = self.shape(name, &tensor, Dtype::F32)?;
        let (chunks, _) = tensor.data().as_chunks::<4>();
        let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        check_finite(self.file, name, &values)?;
        Ok((shape, values))
    }

    /// The values of an optional tensor of `length` finite f64 values.
    pub(crate) fn doubles(&self, name: &str, length: usize) -> Result<Option<Vec<f64>>, LoadError> {
        if !self.has(name) {
            return Ok(None);
        }
        let values = self.plain(name, [length], Dtype::F64, f64::from_le_bytes)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(Some(values)),
            Some(index) => Err(not_finite(self.file, name, index, values[index])),
        }
    }

    /// Whether the file has a tensor of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// The values of a tensor of that shape and type, each of `N` bytes.
    pub(crate) fn plain<T, const R: usize, const N: usize>(
        &self,
        name: &str,
        expected: [usize; R],
        dtype: Dtype,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, LoadError> {
        let tensor = self.tensors.tensor(name).map_err(|_| {
            refuse(self.file, format!("tensor {name}: expected among {}, found none", self.known.join(", ")))
        })?;
        let found = self.shape::<R>(name, &tensor, dtype)?;
        if found != expected {
            return Err(refuse(
                self.file,
                format!("tensor {name}: expected shape {expected:?}, found {found:?}"),
            ));
        }
        Ok(tensor.data().as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect())
    }

    /// The sides of a tensor of that type, none of which is 0.
    pub(crate) fn sides<const R: usize>(&self, name: &str, dtype: Dtype) -> Result<[usize; R], LoadError> {
        let tensor = self.tensors.tensor(name).map_err(|_| {
            refuse(self.file, format!("tensor {name}: expected among {}, found none", self.known.join(", ")))
        })?;
        self.shape(name, &tensor, dtype)
    }

    fn shape<const R: usize>(
        &self,
        name: &str,
        tensor: &TensorView<'_>,
        dtype: Dtype,
    ) -> Result<[usize; R], LoadError> {
        if tensor.dtype() != dtype {
            let reason = format!("tensor {name}: expected type {dtype:?}, found {:?}", tensor.dtype());
            return Err(refuse(self.file, reason));
        }
        let shape = <[usize; R]>::try_from(tensor.shape()).ok().filter(|shape| !shape.contains(&0));
        shape.ok_or_else(|| {
            let reason = format!(
                "tensor {name}: expected {R} sides, none of them 0, found shape {:?}",
                tensor.shape()
            );
            refuse(self.file, reason)
        })
    }
}

/// Refuses values that are not finite, naming the first.
pub(crate) fn check_finite(file: &str, name: &str, values: &[f32]) -> Result<(), LoadError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(not_finite(file, name, index, f64::from(values[index]))),
    }
}

fn not_finite(file: &str, name: &str, index: usize, value: f64) -> LoadError {
    refuse(file, format!("tensor {name}: expected finite numbers, found {value} at position {index}"))
}

/// A model file that is refused.
pub(crate) fn refuse(file: &str, reason: impl Into<String>) -> LoadError {
    LoadError::Model { file: file.to_owned(), reason: reason.into() }
}

/// Writes a safetensors file of tensors of little-endian bytes.
pub(crate) fn write(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).expect("the shape is that of the values");
        (*name, view)
    });
    safetensors::serialize(views, None).expect("tensors of known size are always writable")
}

/// Little-endian bytes of f32 values.
pub(crate) fn single_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
