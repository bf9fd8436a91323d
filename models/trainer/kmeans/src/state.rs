//! Where a training goes on: a checkpoint at an epoch's end, or an earlier model.

use estimator::{Job, TrainError};
use models::kmeans::Kmeans;
use models::{Algorithm, Artifact};

use crate::online::Online;
use crate::table::Settings;

/// The checkpoint's name.
const NAME: &str = "state";

/// Keeps the centers after `epochs` whole epochs.
pub(crate) fn save(job: &Job, settings: &Settings, epochs: u32, online: &Online) -> Result<(), TrainError> {
    if !job.checkpoints.are_kept() {
        return Ok(());
    }
    let fingerprint = settings.fingerprint();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(fingerprint.len() as u64).to_le_bytes());
    bytes.extend_from_slice(fingerprint.as_bytes());
    bytes.extend_from_slice(&u64::from(epochs).to_le_bytes());
    bytes.extend(online.counts.iter().chain(&online.centers).flat_map(|value| value.to_le_bytes()));
    job.checkpoints.save(NAME, &bytes)
}

/// The centers of an interrupted training and how many epochs it had done; none where hosts differ in that.
pub(crate) fn load(job: &Job, settings: &Settings) -> Result<Option<(u32, Online)>, TrainError> {
    let found = job.checkpoints.load(NAME)?.map(|bytes| read(&bytes, settings)).transpose()?;
    let epochs = found.as_ref().map_or(0, |(epochs, _)| *epochs);
    let all = job.cluster.gather(epochs.to_le_bytes().to_vec())?;
    let agree = all.iter().all(|host| *host == epochs.to_le_bytes());
    if !agree {
        job.log.warning("the hosts have checkpoints of different epochs: training begins anew");
    }
    Ok(found.filter(|_| agree))
}

fn read(bytes: &[u8], settings: &Settings) -> Result<(u32, Online), TrainError> {
    let other = |found: &str| {
        TrainError::client(format!(
            "checkpoint: expected one of the same training ({}), found {found}; remove it to train from the start",
            settings.fingerprint()
        ))
    };
    let damaged = || other("one that is too short");
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= rest.len());
    let (fingerprint, rest) = rest.split_at(length.ok_or_else(damaged)?);
    let fingerprint = String::from_utf8_lossy(fingerprint);
    if fingerprint != settings.fingerprint() {
        return Err(other(&format!("one of ({fingerprint})")));
    }
    let (epochs, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (values, _) = rest.as_chunks::<8>();
    let values: Vec<f64> = values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let width = settings.columns + 1;
    let count = values.len() / width;
    if count == 0 || count * width != values.len() {
        return Err(damaged());
    }
    let (counts, centers) = values.split_at(count);
    let online = Online { columns: settings.columns, centers: centers.to_vec(), counts: counts.to_vec() };
    Ok((u64::from_le_bytes(*epochs) as u32, online))
}

/// The centroids of an earlier model, which are then the centers of stage A: as many as k, none of them extra.
pub(crate) fn earlier(job: &Job, settings: &Settings) -> Result<Option<Online>, TrainError> {
    let Some(path) = &job.model else { return Ok(None) };
    let refuse = |reason: String| TrainError::client(format!("channel model: {reason}"));
    let artifact = Artifact::open(path, &job.resources.scratch).map_err(|error| refuse(error.to_string()))?;
    let algorithm = artifact.manifest().algorithm;
    if algorithm != Algorithm::Kmeans {
        return Err(refuse(format!("expected a model of kmeans, found one of {}", algorithm.name())));
    }
    let (file, bytes) = artifact.read_only_file().map_err(|error| refuse(error.to_string()))?;
    let model = Kmeans::from_safetensors(file, &bytes, artifact.manifest())
        .map_err(|error| refuse(error.to_string()))?;
    let (columns, k) = (settings.columns, settings.k);
    if model.columns() != columns {
        return Err(refuse(format!("expected feature_dim {columns}, found {}", model.columns())));
    }
    if model.k() != k {
        return Err(refuse(format!("expected k = {k} centroids, found {}", model.k())));
    }
    let mut online = Online::new(model.centroids(), columns);
    // A model that does not say what its centroids stand for lets them be moved by the first records.
    online.counts = model.counts().map_or(vec![1.0; k], <[f64]>::to_vec);
    Ok(Some(online))
}
