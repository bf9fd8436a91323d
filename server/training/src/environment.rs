//! What a program finds in its environment: the job's own variables, what the platform says, and the little of ours that it
//! needs. Nothing else of ours, since keys are in it.

use std::collections::BTreeMap;

use crate::host::Host;
use crate::job::{Job, Program};
use crate::toolkit;

/// Of what is inherited, what only a container engine's command may have: with it, a program could start containers.
pub const ENGINE_INHERITED: &[&str] =
    &["DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_RUNTIME_DIR"];

/// The variables of a program on this machine. `collective` is where host 1 listens for the others.
pub(crate) fn of_process(job: &Job, host: &Host, collective: Option<&str>) -> BTreeMap<String, String> {
    let mut variables = job.inherited.clone();
    variables.retain(|name, _| !ENGINE_INHERITED.contains(&name.as_str()));
    let threads = job.limits.cpus.to_string();
    variables.insert("OMP_NUM_THREADS".into(), threads.clone());
    variables.insert("TMPDIR".into(), host.scratch().display().to_string());
    match &job.program {
        // Our own trainer reads none of the job's variables. It gets none: LD_PRELOAD or a library's path would be a way to run
        // a program of one's own where only algorithms may run.
        Program::Builtin { algorithm, .. } => {
            variables.insert("CLARY_ALGORITHM".into(), algorithm.clone());
            // It is to refuse what does not fit, with both numbers, before it is ended for it.
            variables.insert("CLARY_MEMORY_BYTES".into(), job.limits.memory_bytes.to_string());
        }
        _ => {
            variables.extend(toolkit::variables(job, host));
            variables.extend(job.environment.clone());
        }
    }
    variables.extend(platform(job, host));
    variables.insert("SAGEMAKER_BASE_DIR".into(), host.base.display().to_string());
    variables.insert("CLARY_THREADS".into(), threads);
    if let Some(address) = collective {
        variables.insert("CLARY_COLLECTIVE_ADDRESS".into(), address.to_owned());
    }
    variables
}

/// The variables of a program in a container: its image brings the rest.
pub(crate) fn of_container(job: &Job, host: &Host) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([("OMP_NUM_THREADS".to_owned(), job.limits.cpus.to_string())]);
    variables.extend(job.environment.clone());
    variables.extend(platform(job, host));
    variables
}

/// What every program is told.
fn platform(job: &Job, host: &Host) -> [(String, String); 5] {
    [
        ("TRAINING_JOB_NAME".into(), job.name.clone()),
        ("TRAINING_JOB_ARN".into(), job.arn.clone()),
        ("AWS_REGION".into(), job.region.clone()),
        ("AWS_DEFAULT_REGION".into(), job.region.clone()),
        ("CURRENT_HOST".into(), host.name.clone()),
    ]
}
