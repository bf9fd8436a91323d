//! The credentials file on disk: read at the start, and again when it changes. What it means is the crate `access`'s matter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use access::{Access, Credentials, CredentialsError};
use anyhow::Context;

use crate::rt;
use crate::store::Source;

/// What is at the door: the keys of `file`, or nothing where there is none.
///
/// # Errors
/// When the file cannot be read or is not one.
pub fn open(file: Option<&Path>) -> anyhow::Result<Arc<Access>> {
    let Some(path) = file else { return Ok(Arc::new(Access::open())) };
    let credentials = read(path, None).with_context(|| format!("credentials file {}", path.display()))?;
    if credentials.is_empty() {
        tracing::warn!(path = %path.display(), "the credentials file has no entry: nobody may call");
    }
    Ok(Arc::new(Access::closed(credentials)))
}

/// Reads `path` again whenever it changes, for ever. What cannot be used is logged, and the old credentials stay.
pub async fn watch(access: Arc<Access>, path: PathBuf, interval: Duration) {
    if interval.is_zero() {
        return;
    }
    let source = Source::Path(path.clone());
    let mut seen = source.signature().await.ok();
    let mut settled = seen.clone();
    loop {
        tokio::time::sleep(interval).await;
        let now = source.signature().await.ok();
        // A file that is being written is left alone until it holds still.
        if now == seen && now != settled {
            settled.clone_from(&now);
            reload(&access, &path).await;
        }
        seen = now;
    }
}

async fn reload(access: &Arc<Access>, path: &Path) {
    let (of_read, before) = (path.to_owned(), access.credentials());
    let result = rt::blocking(move || read(&of_read, before.as_deref())).await;
    match result {
        Ok(credentials) => {
            let entries = credentials.len();
            access.replace(credentials);
            tracing::info!(path = %path.display(), entries, "credentials read again");
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the new credentials are refused, the old ones stay");
        }
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Content(#[from] CredentialsError),
}

fn read(path: &Path, before: Option<&Credentials>) -> Result<Credentials, ReadError> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > access::credentials::FILE_BYTES_MAX as u64 {
        return Err(CredentialsError::TooLarge(usize::try_from(bytes).unwrap_or(usize::MAX)).into());
    }
    if is_readable_by_others(path) {
        tracing::warn!(path = %path.display(), "the credentials file holds secrets and others may read it: expected mode 0600");
    }
    Ok(Credentials::parse(&std::fs::read(path)?, before)?)
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = r#"{"keys":[{"access_key_id":"a","secret_access_key":"b","allow":{"actions":["*"]}}]}"#;

    #[test]
    fn a_server_without_file_is_open_and_a_wrong_file_is_no_start() {
        assert!(open(None).unwrap().is_open());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let refused = |words: &str| {
            let error = format!("{:#}", open(Some(&path)).expect_err(words));
            assert!(error.contains("keys.json") && error.contains(words), "{error}");
        };
        refused("No such file");
        fs::write(&path, "{").unwrap();
        refused("EOF");
        fs::write(&path, ONE).unwrap();
        assert_eq!(open(Some(&path)).unwrap().credentials().unwrap().len(), 1);
    }

    #[test]
    fn a_change_is_taken_up_and_a_broken_one_is_not() {
        let runtime = rt::control().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, ONE).unwrap();
        let access = open(Some(&path)).unwrap();
        let entries = || access.credentials().unwrap().len();
        fs::write(&path, "not json").unwrap();
        runtime.block_on(reload(&access, &path));
        assert_eq!(entries(), 1, "the old ones stay");
        fs::write(&path, "{}").unwrap();
        runtime.block_on(reload(&access, &path));
        assert_eq!(entries(), 0);
        fs::remove_file(&path).unwrap();
        runtime.block_on(reload(&access, &path));
        assert_eq!(entries(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn others_must_not_read_secrets() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, ONE).unwrap();
        for (mode, expected) in [(0o600, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_readable_by_others(&path), expected, "{mode:o}");
        }
    }
}
