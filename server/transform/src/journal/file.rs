//! A journal in a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::done::Done;
use super::line::{self, Head, Line};
use super::{JOURNAL_BYTES_MAX, JournalError, LINE_BYTES_MAX};

/// How often the file is flushed to the disk, at most. Reason: what the power takes is done again; a flush for each of many
/// small objects would be most of their time.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// A journal in a file, locked as long as it is open.
#[derive(Debug)]
pub(super) struct FileJournal {
    path: PathBuf,
    file: Arc<File>,
    /// Held while a line is written, so that lines stay whole.
    end: Mutex<End>,
}

#[derive(Debug)]
struct End {
    /// Bytes of whole lines.
    bytes: u64,
    /// When they were last flushed to the disk.
    synced: Instant,
}

impl FileJournal {
    pub(super) async fn open(path: PathBuf, head: Head) -> Result<(Self, Done), JournalError> {
        blocking(move || open(path, &head)).await
    }

    pub(super) async fn append(&self, line: &Line) -> Result<(), JournalError> {
        let bytes = line::to_bytes(line);
        let is_due = {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            let length = end.bytes + bytes.len() as u64;
            if length > JOURNAL_BYTES_MAX {
                return Err(JournalError::TooLarge { place: place(&self.path) });
            }
            // A few hundred bytes into the page cache: microseconds, less than a hop to another thread.
            (&*self.file).write_all(&bytes).map_err(|error| {
                // Half a line must not stand before the next; where that fails too, reading it says so.
                let _ = self.file.set_len(end.bytes);
                failed(&self.path)(error)
            })?;
            end.bytes = length;
            let is_due = end.synced.elapsed() >= SYNC_PERIOD;
            if is_due {
                end.synced = Instant::now();
            }
            is_due
        };
        if is_due { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn flush(&self) -> Result<(), JournalError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        blocking(move || file.sync_data().map_err(failed(&path))).await
    }

    pub(super) async fn remove(&self) -> Result<(), JournalError> {
        let path = self.path.clone();
        blocking(move || std::fs::remove_file(&path).map_err(failed(&path))).await
    }
}

fn open(path: PathBuf, head: &Head) -> Result<(FileJournal, Done), JournalError> {
    let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
    let mut file = open.map_err(failed(&path))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse { place: place(&path) },
        TryLockError::Error(source) => failed(&path)(source),
    })?;
    if file.metadata().map_err(failed(&path))?.len() > JOURNAL_BYTES_MAX {
        return Err(JournalError::TooLarge { place: place(&path) });
    }
    let (mut length, done) = read(&mut file, &path, head)?;
    // What stands after the last whole line was being written when the process ended.
    file.set_len(length).map_err(failed(&path))?;
    if length == 0 {
        let first = line::to_bytes(head);
        length = first.len() as u64;
        file.write_all(&first).map_err(failed(&path))?;
        file.sync_all().map_err(failed(&path))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(&path))?;
    }
    let end = Mutex::new(End { bytes: length, synced: Instant::now() });
    Ok((FileJournal { path, file: Arc::new(file), end }, done))
}

/// How many bytes of whole lines the file has, and what they say.
fn read(file: &mut File, path: &Path, head: &Head) -> Result<(u64, Done), JournalError> {
    file.seek(SeekFrom::Start(0)).map_err(failed(path))?;
    let mut reader = BufReader::new(&*file);
    let (mut length, mut number, mut done, mut bytes) = (0, 0, Done::default(), Vec::new());
    loop {
        bytes.clear();
        let limit = LINE_BYTES_MAX as u64 + 2;
        reader.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(failed(path))?;
        let is_whole = bytes.pop_if(|last| *last == b'\n').is_some();
        if !is_whole && bytes.len() as u64 != limit {
            return Ok((length, done));
        }
        number += 1;
        if number == 1 {
            line::check_head(&place(path), head, &bytes)?;
        } else {
            done.apply(line::parse(&place(path), number, &bytes)?);
        }
        length += bytes.len() as u64 + 1;
    }
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let place = place(path);
    move |source| JournalError::Io { place, source }
}

/// File work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => {
                let source = io::Error::other("the runtime is stopping");
                Err(JournalError::Io { place: "of this transform".to_owned(), source })
            }
        },
    }
}
