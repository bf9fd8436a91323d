//! What one host of a job may use of this machine.

/// The share of the machine's memory that jobs have together, in percent. Reason: the rest is for models and requests.
const MEMORY_PERCENT: u64 = 80;

/// Memory of a machine that does not say how much it has. Reason: the least that one would train on.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;

/// The least memory of a host. Reason: a program that cannot load its libraries says nothing of use.
const MEMORY_BYTES_LEAST: u64 = 64 << 20;

/// What the machine has for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineLimits {
    /// How many jobs run at once.
    pub jobs_at_once: usize,
    /// Its memory, where it says so.
    pub memory_bytes: Option<u64>,
    /// What each host may have, where the operator says so.
    pub host_memory_bytes: Option<u64>,
    /// Its cores.
    pub cores: usize,
}

impl MachineLimits {
    /// Resident bytes of each of so many hosts.
    pub(super) fn memory_bytes(&self, hosts: usize) -> u64 {
        let shares = (self.jobs_at_once * hosts.max(1)).max(1) as u64;
        let machine = self.memory_bytes.unwrap_or(MEMORY_BYTES_UNKNOWN);
        let share = machine / 100 * MEMORY_PERCENT / shares;
        self.host_memory_bytes.unwrap_or(share).max(MEMORY_BYTES_LEAST)
    }

    /// Threads of each of so many hosts, of an instance type of so many slots.
    pub(super) fn cpus(&self, slots: u32, hosts: usize) -> usize {
        let share = self.cores / hosts.max(1);
        share.clamp(1, usize::try_from(slots).unwrap_or(usize::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_the_machine() {
        let machine = MachineLimits {
            jobs_at_once: 2,
            memory_bytes: Some(100 << 30),
            host_memory_bytes: None,
            cores: 8,
        };
        let gib = |bytes: u64| (bytes as f64 / f64::from(1 << 30)).round() as u64;
        assert_eq!((gib(machine.memory_bytes(1)), gib(machine.memory_bytes(4))), (40, 10));
        let told = MachineLimits { host_memory_bytes: Some(3 << 30), ..machine };
        assert_eq!((told.memory_bytes(1), told.memory_bytes(8)), (3 << 30, 3 << 30));
        let unknown = MachineLimits { memory_bytes: None, ..machine };
        assert_eq!(unknown.memory_bytes(8), MEMORY_BYTES_LEAST);
        let check = |slots, hosts, expected| assert_eq!(machine.cpus(slots, hosts), expected);
        check(2, 1, 2);
        check(16, 1, 8);
        check(4, 4, 2);
        check(4, 16, 1);
        check(0, 1, 1);
    }
}
