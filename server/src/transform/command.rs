//! `clary transform`: one transform, from its start to its report and its exit code.

use std::process::ExitCode;

use crate::config::TransformConfig;
use crate::rt;

/// Runs the transform that `config` describes.
///
/// # Errors
/// When it cannot be begun.
pub fn run(config: &TransformConfig) -> anyhow::Result<ExitCode> {
    let runtime = rt::transform()?;
    runtime.block_on(async {
        let model = super::model::load(config).await?;
        let _model = super::model::publish(config, model)?;
        anyhow::Ok(ExitCode::SUCCESS)
    })
}
