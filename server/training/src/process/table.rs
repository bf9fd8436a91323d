//! What the system says of processes: `/proc`. Elsewhere than on Linux there is none, and nothing is found.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::param::{clock_ticks_per_second, page_size};

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Ticks of CPU, those of ended children that it waited for included.
    pub(crate) cpu_ticks: u64,
    /// When it was started, in ticks since the system was: with the pid, its identity.
    pub(crate) started: u64,
    pub(crate) resident_bytes: u64,
    /// Whether it is nothing but an exit code that nobody has asked for yet.
    pub(crate) has_ended: bool,
}

impl Stat {
    /// What the system says of the process of this id, if there is one.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// A line of `/proc/<pid>/stat`. The second field is the program's name, which may hold anything.
    fn parse(line: &str) -> Option<Self> {
        let pid = line.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let id = |index: usize| fields.get(index)?.parse::<i32>().ok();
        Some(Self {
            pid,
            parent: id(1)?,
            group: id(2)?,
            cpu_ticks: number(11)? + number(12)? + number(13)? + number(14)?,
            started: number(19)?,
            resident_bytes: number(21)? * page_size() as u64,
            has_ended: ["Z", "X"].contains(fields.first()?),
        })
    }

    /// Bytes that are its own, and its share of those that it has in common with others; `None` where the system does not say.
    pub(crate) fn proportional_bytes(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
    }
}

/// Ticks a second.
pub(crate) fn ticks_per_second() -> f64 {
    clock_ticks_per_second() as f64
}

/// All processes that have not ended. Blocks for some milliseconds where there are hundreds.
pub(crate) fn all() -> Vec<Stat> {
    pids().filter_map(Stat::of).filter(|stat| !stat.has_ended).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Of `all`, those of a group whose leader was started at `started`, and what descends from them.
pub(crate) fn members(all: &[Stat], group: i32, started: u64) -> Vec<Stat> {
    let is_member = |stat: &&Stat| stat.group == group && stat.started >= started;
    let mut found: Vec<Stat> = all.iter().filter(is_member).copied().collect();
    let mut known: HashSet<i32> = found.iter().map(|stat| stat.pid).collect();
    loop {
        let children: Vec<Stat> = all
            .iter()
            .filter(|stat| known.contains(&stat.parent) && !known.contains(&stat.pid))
            .copied()
            .collect();
        if children.is_empty() {
            return found;
        }
        known.extend(children.iter().map(|stat| stat.pid));
        found.extend(children);
    }
}

/// Processes whose environment says that their `/opt/ml` is below `folder`: those of the job, wherever they stand now. Blocks.
pub(crate) fn marked(folder: &Path) -> Vec<Stat> {
    let mark = format!("SAGEMAKER_BASE_DIR={}/algo-", folder.display());
    let is_marked = |pid: &i32| {
        let Ok(variables) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        variables.split(|&byte| byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    };
    pids().filter(is_marked).filter_map(Stat::of).filter(|stat| !stat.has_ended).collect()
}

/// What tells one start of the system from the next, since process ids and times begin anew.
pub(crate) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_system_is_read_whatever_the_name() {
        let line =
            "7 (a ) R) b) S 1 5 5 0 -1 4194304 9 8 0 0 10 20 3 4 20 0 1 0 777 1000 3 18446744073709551615 1";
        let stat = Stat::parse(line).unwrap();
        let page = page_size() as u64;
        let expected = Stat {
            pid: 7,
            parent: 1,
            group: 5,
            cpu_ticks: 37,
            started: 777,
            resident_bytes: 3 * page,
            has_ended: false,
        };
        assert_eq!(stat, expected);
        assert!(Stat::parse(&line.replace(" S ", " Z ")).unwrap().has_ended);
        for broken in ["", "7 (x) S 1 5", "x (y) S", "7 x S"] {
            assert_eq!(Stat::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn we_ourselves_are_found() {
        let pid = std::process::id() as i32;
        let own = Stat::of(pid).unwrap();
        assert!(own.resident_bytes > 0 && own.started > 0);
        assert!(all().iter().any(|stat| stat.pid == pid));
        assert!(own.proportional_bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn members_are_the_group_and_what_descends_from_it() {
        let stat = |pid, parent, group, started| Stat {
            pid,
            parent,
            group,
            cpu_ticks: 0,
            started,
            resident_bytes: 0,
            has_ended: false,
        };
        // 10 leads; 11 and 12 left the group; 13 is of an older group of the same number; 14 is a stranger.
        let all = [
            stat(10, 1, 10, 5),
            stat(11, 10, 11, 6),
            stat(12, 11, 12, 7),
            stat(13, 1, 10, 4),
            stat(14, 1, 14, 9),
        ];
        let pids: Vec<_> = members(&all, 10, 5).iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [10, 11, 12]);
    }
}
