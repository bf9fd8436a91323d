//! Why a job fails, and whose fault it is: the one place where `FailureReason` is worded.

use std::fmt;

use crate::outcome::REASON_CHARACTERS_MAX;

/// The prefixes that a reason may have; a program that writes one itself gets no other.
const PREFIXES: [&str; 3] = ["ClientError:", "AlgorithmError:", "InternalServerError:"];

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was asked for cannot be done.
    Client(String),
    /// The program failed.
    Algorithm(String),
    /// It is our fault, or this machine's.
    Internal(String),
}

impl Failure {
    /// `FailureReason`: prefixed once, and no longer than it may be.
    pub(crate) fn reason(&self) -> String {
        let text = self.to_string();
        text.chars().take(REASON_CHARACTERS_MAX).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, text) = match self {
            Self::Client(text) => (PREFIXES[0], text),
            Self::Algorithm(text) => (PREFIXES[1], text),
            Self::Internal(text) => (PREFIXES[2], text),
        };
        if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            return f.write_str(text);
        }
        write!(f, "{prefix} {text}")
    }
}

/// Why a program that ended with `code` failed; `text` is what it left in its failure file.
pub(crate) fn of_exit(code: i32, text: Option<&str>) -> Failure {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Failure::Algorithm(text.chars().take(REASON_CHARACTERS_MAX).collect()),
        None => Failure::Algorithm(format!("Exit Code: {code}{}", explanation(code))),
    }
}

/// What codes mean that are not a program's own.
fn explanation(code: i32) -> &'static str {
    match code {
        126 => " (the program is there, and cannot be run)",
        127 => " (the program was not found)",
        132 => " (SIGILL: the program uses instructions that this machine's processor lacks)",
        134 => " (SIGABRT: the program ended itself)",
        135 => " (SIGBUS: a file shrank while it was mapped, or the disk is full)",
        136 => " (SIGFPE: an arithmetic fault)",
        137 => " (SIGKILL: the usual cause is that memory ran out)",
        139 => " (SIGSEGV: the program touched memory that is not its own)",
        143 => " (SIGTERM: the program ended without a finished model)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_one_prefix() {
        let check = |failure: Failure, expected: &str| assert_eq!(failure.reason(), expected);
        check(Failure::Client("no data".into()), "ClientError: no data");
        check(Failure::Internal("disk".into()), "InternalServerError: disk");
        check(of_exit(1, Some("ClientError: eta")), "ClientError: eta");
        check(of_exit(1, Some("  it broke\n")), "AlgorithmError: it broke");
        check(of_exit(1, Some("AlgorithmError: it broke")), "AlgorithmError: it broke");
        check(of_exit(3, None), "AlgorithmError: Exit Code: 3");
        check(of_exit(3, Some(" \n")), "AlgorithmError: Exit Code: 3");
        for (code, word) in [(137, "memory"), (139, "SIGSEGV"), (132, "instructions")] {
            assert!(of_exit(code, None).reason().contains(word), "{code}");
        }
    }

    #[test]
    fn reasons_are_no_longer_than_they_may_be() {
        let reason = of_exit(1, Some(&"ü".repeat(5000))).reason();
        assert_eq!(reason.chars().count(), REASON_CHARACTERS_MAX);
        assert!(reason.starts_with("AlgorithmError: ü"));
    }
}
