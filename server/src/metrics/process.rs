//! What the process takes of the machine, as Linux tells it. Where it does not, everything is zero.

use std::fs;

/// Clock ticks a second, in `/proc`. Reason: Linux shows every program 100, whatever its own timer does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of a page of memory, in `/proc/self/statm`. Reason: so on every platform that we build for.
const PAGE_BYTES: u64 = 4096;

/// What a process has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Seconds of CPU time, of all threads, in user and system mode.
    pub cpu_seconds: f64,
    /// Bytes of memory that are resident.
    pub resident_bytes: u64,
}

impl Process {
    /// Of this process, now.
    pub fn read() -> Self {
        let of = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(&of("/proc/self/stat")).unwrap_or_default(),
            resident_bytes: resident_bytes(&of("/proc/self/statm")).unwrap_or_default(),
        }
    }
}

/// The 14th and 15th field; the second is a name in brackets that may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_SECOND)
}

fn resident_bytes(statm: &str) -> Option<u64> {
    Some(statm.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

/// Bytes of memory that the machine has; `None` where it does not tell.
pub fn machine_bytes() -> Option<u64> {
    total_bytes(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// The `MemTotal` of `/proc/meminfo`.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "17 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 5 0 1000 2000 300";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("100 25 3 4 0 5 0"), Some(25 * 4096));
        assert_eq!(total_bytes("MemTotal:       2 kB\nMemFree: 1 kB\n"), Some(2048));
        assert_eq!(total_bytes("Foo: 1 kB\nMemTotal:       2048 kB\n"), Some(2048 * 1024));
        for torn in ["", "17 (a", "17 (a) S 1", "x"] {
            assert_eq!((cpu_seconds(torn), resident_bytes(torn), total_bytes(torn)), (None, None, None));
        }
    }
}
