//! What a training may use of the machine: threads and bytes of memory, as the platform says, else as the machine and its
//! control group have them.

use std::fs;
use std::path::PathBuf;

use estimator::{Resources, TrainError};

/// What is taken when nothing tells: less than any machine that trains has.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;
/// The most threads. Reason: rayon's own limit is higher, machines have fewer.
const THREADS_MAX: usize = 1024;
/// Where control groups, the new and the old kind, say how much memory their processes may use.
const CONTROL_GROUPS: &[&str] = &["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The resources: what is stated, else what there is. Rayon's global pool is made as large.
pub(crate) fn resources(
    threads: Option<usize>,
    memory_bytes: Option<u64>,
    scratch: PathBuf,
) -> Result<Resources, TrainError> {
    let threads = match threads {
        Some(threads) if (1..=THREADS_MAX).contains(&threads) => threads,
        Some(found) => {
            return Err(TrainError::client(format!("threads: expected 1 to {THREADS_MAX}, found {found}")));
        }
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let memory_bytes = match memory_bytes {
        Some(0) => return Err(TrainError::client("memory: expected at least 1 byte, found 0")),
        Some(bytes) => bytes,
        None => memory_of_machine(),
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| TrainError::Internal(format!("{threads} threads cannot be started: {error}")))?;
    Ok(Resources { threads, memory_bytes, scratch })
}

/// The least of what the machine has and what its control group permits.
fn memory_of_machine() -> u64 {
    let permitted =
        CONTROL_GROUPS.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let installed = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    permitted.chain(installed).min().unwrap_or(MEMORY_BYTES_UNKNOWN)
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn total_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:   2048 kB\n"), Some(2 << 20));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
        assert!(memory_of_machine() > 0);
    }

    #[test]
    fn resources_out_of_range_are_refused() {
        let check = |threads, memory_bytes, expected: &str| {
            let error = resources(threads, memory_bytes, "/tmp".into()).expect_err("out of range");
            assert_eq!(error.to_string(), expected);
        };
        check(Some(0), None, "threads: expected 1 to 1024, found 0");
        check(Some(1), Some(0), "memory: expected at least 1 byte, found 0");
    }
}
