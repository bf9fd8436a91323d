//! `model.safetensors` of k-NN, read and written.

use safetensors::Dtype;
use serde_json::Value;

use super::parts::{CODEWORDS, Lists, Parts, Store};
use super::reduction::Reduction;
use super::settings::{IndexKind, Settings, reduction_type};
use crate::LoadError;
use crate::manifest::Manifest;
use crate::tensors::{self, Tensors, refuse};

/// All tensors there are.
const NAMES: &[&str] = &[
    "labels",
    "vectors",
    "ivf.centroids",
    "ivf.offsets",
    "ivf.ids",
    "pq.codebooks",
    "pq.codes",
    "reduction.signs",
    "reduction.perm",
];

/// Reads the parts that the manifest describes.
pub(super) fn read(
    file: &str,
    bytes: &[u8],
    settings: &Settings,
    manifest: &Manifest,
) -> Result<Parts, LoadError> {
    let tensors = Tensors::read(file, bytes, NAMES)?;
    let ([n], labels) = tensors.single::<1>("labels")?;
    let (columns, store) = match settings.kind {
        IndexKind::Flat | IndexKind::IvfFlat => {
            let ([_, columns], vectors) = tensors.single::<2>("vectors")?;
            (columns, Store::Vectors(vectors))
        }
        IndexKind::IvfPq => {
            let ([m, codewords, width], codebooks) = tensors.single::<3>("pq.codebooks")?;
            if codewords != CODEWORDS {
                let reason =
                    format!("tensor pq.codebooks: expected {CODEWORDS} centroids, found {codewords}");
                return Err(refuse(file, reason));
            }
            let codes = tensors.plain("pq.codes", [n, m], Dtype::U8, |[byte]: [u8; 1]| byte)?;
            (m * width, Store::Codes { m, codebooks, codes })
        }
    };
    let lists = (settings.kind != IndexKind::Flat).then(|| read_lists(&tensors, n)).transpose()?;
    let reduction = reduction_type(manifest)?.map(|name| read_reduction(file, &tensors, name, manifest));
    Ok(Parts { labels, columns, store, lists, reduction: reduction.transpose()? })
}

fn read_lists(tensors: &Tensors<'_>, n: usize) -> Result<Lists, LoadError> {
    let ([nlist, _], centroids) = tensors.single::<2>("ivf.centroids")?;
    Ok(Lists {
        centroids,
        offsets: tensors.plain("ivf.offsets", [nlist + 1], Dtype::U64, u64::from_le_bytes)?,
        ids: tensors.plain("ivf.ids", [n], Dtype::U32, u32::from_le_bytes)?,
    })
}

fn read_reduction(
    file: &str,
    tensors: &Tensors<'_>,
    name: &str,
    manifest: &Manifest,
) -> Result<Reduction, LoadError> {
    let says = |key: &str| {
        let number = manifest.details.get("dimension_reduction").and_then(|object| object.get(key));
        let number = number.and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        // So large a number of features has no tensor, and no power of two above it.
        number.filter(|number| (1..1 << 31).contains(number)).ok_or_else(|| {
            LoadError::Manifest(format!(
                "dimension_reduction.{key}: expected a whole number from 1, found none"
            ))
        })
    };
    let (input, target) = (says("input_dim")?, says("target_dim")?);
    if !tensors.has("reduction.signs") {
        return Err(refuse(file, "tensor reduction.signs: expected one as the manifest says, found none"));
    }
    let signs = |shape: &[usize]| match *shape {
        [rows, columns] => {
            tensors.plain("reduction.signs", [rows, columns], Dtype::I8, |[byte]: [u8; 1]| byte as i8)
        }
        _ => tensors.plain("reduction.signs", [shape[0]], Dtype::I8, |[byte]: [u8; 1]| byte as i8),
    };
    Ok(match name {
        "sign" => Reduction::Sign { signs: signs(&[input, target])?, input, target },
        _ => Reduction::Fjlt {
            signs: signs(&[input.next_power_of_two()])?,
            chosen: tensors.plain("reduction.perm", [target], Dtype::U32, u32::from_le_bytes)?,
            input,
        },
    })
}

impl Parts {
    /// The members of the artifact beside the manifest.
    pub fn to_members(&self) -> Vec<(String, Vec<u8>)> {
        let (n, columns) = (self.labels.len(), self.columns);
        let mut members = vec![("labels", Dtype::F32, vec![n], tensors::single_bytes(&self.labels))];
        match &self.store {
            Store::Vectors(vectors) => {
                members.push(("vectors", Dtype::F32, vec![n, columns], tensors::single_bytes(vectors)));
            }
            Store::Codes { m, codebooks, codes } => {
                let shape = vec![*m, CODEWORDS, columns / m];
                members.push(("pq.codebooks", Dtype::F32, shape, tensors::single_bytes(codebooks)));
                members.push(("pq.codes", Dtype::U8, vec![n, *m], codes.clone()));
            }
        }
        if let Some(lists) = &self.lists {
            let nlist = lists.offsets.len() - 1;
            let offsets = lists.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
            let ids = lists.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            let centroids = tensors::single_bytes(&lists.centroids);
            members.push(("ivf.centroids", Dtype::F32, vec![nlist, columns], centroids));
            members.push(("ivf.offsets", Dtype::U64, vec![nlist + 1], offsets));
            members.push(("ivf.ids", Dtype::U32, vec![n], ids));
        }
        let bytes = |signs: &[i8]| signs.iter().map(|sign| *sign as u8).collect::<Vec<u8>>();
        match &self.reduction {
            None => {}
            Some(Reduction::Sign { signs, input, target }) => {
                members.push(("reduction.signs", Dtype::I8, vec![*input, *target], bytes(signs)));
            }
            Some(Reduction::Fjlt { signs, chosen, .. }) => {
                let places = chosen.iter().flat_map(|place| place.to_le_bytes()).collect();
                members.push(("reduction.signs", Dtype::I8, vec![signs.len()], bytes(signs)));
                members.push(("reduction.perm", Dtype::U32, vec![chosen.len()], places));
            }
        }
        vec![(tensors::FILE_NAME.to_owned(), tensors::write(&members))]
    }
}
