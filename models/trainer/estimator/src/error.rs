//! One error by whose fault it is: that decides the exit code and what the failure file says.

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The caller's: a hyperparameter, a channel, a row.
    #[error("{0}")]
    Client(String),
    /// The algorithm's: training itself failed on data that looked sound.
    #[error("{0}")]
    Algorithm(String),
    /// Ours or the machine's: a disk, a library that is not there.
    #[error("{0}")]
    Internal(String),
    /// A stop request came before a first model existed.
    #[error("stopped before the first round was done: there is no model")]
    Stopped,
}

/// The most characters of a failure file that the platform reads.
const FAILURE_CHARACTERS_MAX: usize = 1024;

impl TrainError {
    /// Shorthand for a caller's mistake.
    pub fn client(message: impl Into<String>) -> Self {
        Self::Client(message.into())
    }

    /// A file or directory of ours that cannot be used.
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Internal(format!("{}: {error}", path.display()))
    }

    /// The exit code: 1 algorithm, 2 caller, 3 internal, 143 stopped by SIGTERM without a model.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Algorithm(_) => 1,
            Self::Client(_) => 2,
            Self::Internal(_) => 3,
            Self::Stopped => 143,
        }
    }

    /// What the failure file says, cut where the platform cuts.
    pub fn failure_text(&self) -> String {
        let text = match self {
            Self::Client(reason) => prefixed("ClientError: ", reason),
            Self::Internal(reason) => prefixed("InternalServerError: ", reason),
            Self::Algorithm(_) | Self::Stopped => self.to_string(),
        };
        text.chars().take(FAILURE_CHARACTERS_MAX).collect()
    }
}

/// The reason after its prefix, which another host may have put there already.
fn prefixed(prefix: &str, reason: &str) -> String {
    if reason.starts_with(prefix) { reason.to_owned() } else { format!("{prefix}{reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_code_and_prefix() {
        let check = |error: TrainError, code: u8, text: &str| {
            assert_eq!(error.exit_code(), code);
            assert_eq!(error.failure_text(), text);
        };
        check(TrainError::client("eta is 7"), 2, "ClientError: eta is 7");
        check(TrainError::client("ClientError: eta is 7"), 2, "ClientError: eta is 7");
        check(TrainError::Algorithm("no split".into()), 1, "no split");
        check(TrainError::Internal("disk".into()), 3, "InternalServerError: disk");
        check(TrainError::Stopped, 143, "stopped before the first round was done: there is no model");
    }

    #[test]
    fn a_failure_text_is_cut_at_the_platforms_limit() {
        let error = TrainError::client("é".repeat(5000));
        assert_eq!(error.failure_text().chars().count(), FAILURE_CHARACTERS_MAX);
    }
}
