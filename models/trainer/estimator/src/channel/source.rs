//! The rows of a channel as blocks, one after the other: files are read a window of pieces at a time, and the pieces of a
//! window are decoded at once on rayon's threads, in the order of the files.
//!
//! Memory: a window is 2 pieces a thread, each as text (1 MiB) and as rows (at most 4 bytes of values a byte of text, and
//! twice that while they are decoded): 2 · threads · 9 MiB at most; sparse text is the worst.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codecs::{ContentType, Format};
use dmatrix::{DMatrix, Storage};
use rayon::prelude::*;

use super::chunks::{CHUNK_BYTES, Chunk, Chunks};
use super::decoder::Decoder;
use super::queries::Together;
use super::{Channel, RowRules, TrainingContent, files};
use crate::gather::Gather;
use crate::parquet::Parquet;
use crate::{Selection, Stop, TrainError};

/// Pieces of a window for each thread. Reason: the slowest of two is nearer to the mean than one.
const PIECES_A_THREAD: usize = 2;
/// The most pieces of a window. Reason: very small files are pieces of their own.
const PIECES_MAX: usize = 1024;

/// Reads a channel once.
pub(crate) struct Source {
    format: Format,
    decoder: Decoder,
    selection: Selection,
    stop: Stop,
    /// Files not yet opened.
    files: VecDeque<PathBuf>,
    open: Option<(Arc<Path>, Chunks)>,
    /// Instead of the above, if the files are Parquet.
    parquet: Option<Parquet>,
    /// Blocks that were decoded and not yet given.
    ready: VecDeque<DMatrix>,
    /// Rows seen, those not selected included.
    rows_seen: u64,
    /// Whether rows have weights, query ids: as the first have.
    has: Option<(bool, bool)>,
    together: Together,
}

impl Source {
    /// Over the files of `channel`.
    pub(crate) fn of_files(channel: &Channel, rules: &RowRules, stop: &Stop) -> Result<Self, TrainError> {
        let files = files::list(channel.name, &channel.path)?;
        match channel.content_type {
            TrainingContent::Records(content_type) => {
                Ok(Self { files: files.into(), ..Self::empty(channel, content_type, rules, stop) })
            }
            TrainingContent::Parquet => {
                let parquet = Some(Parquet::new(files, channel.labels, rules));
                Ok(Self { parquet, ..Self::empty(channel, ContentType::new(Format::Csv), rules, stop) })
            }
        }
    }

    /// Over one stream, which faults call `name`.
    pub(crate) fn of_stream(
        channel: &Channel,
        rules: &RowRules,
        stop: &Stop,
        name: &Path,
        stream: Box<dyn Read + Send>,
    ) -> Result<Self, TrainError> {
        let TrainingContent::Records(content_type) = channel.content_type else {
            return Err(TrainError::client(format!(
                "channel {}: expected TrainingInputMode File or FastFile with Parquet, found \"Pipe\"",
                channel.name
            )));
        };
        let chunks = Chunks::new(stream, content_type.format);
        Ok(Self { open: Some((name.into(), chunks)), ..Self::empty(channel, content_type, rules, stop) })
    }

    fn empty(channel: &Channel, content_type: ContentType, rules: &RowRules, stop: &Stop) -> Self {
        Self {
            format: content_type.format,
            decoder: Decoder::new(content_type, channel.labels, rules),
            selection: channel.selection.clone(),
            stop: stop.clone(),
            files: VecDeque::new(),
            open: None,
            parquet: None,
            ready: VecDeque::new(),
            rows_seen: 0,
            has: None,
            together: Together::default(),
        }
    }

    /// The next block, which has a row; `None` at the end.
    ///
    /// # Errors
    /// When a row is not as it should be, or a stop is asked for.
    pub(crate) fn next(&mut self) -> Result<Option<DMatrix>, TrainError> {
        while self.ready.is_empty() {
            if self.stop.is_asked_for() {
                return Err(TrainError::Stopped);
            }
            if let Some(parquet) = &mut self.parquet {
                let Some((file, block)) = parquet.next()? else { return Ok(None) };
                self.take(block, &file)?;
                continue;
            }
            let window = self.window()?;
            if window.is_empty() {
                return Ok(None);
            }
            let decoder = &self.decoder;
            let decode = |(file, chunk): &(Arc<Path>, Chunk)| decoder.decode(file, chunk);
            let blocks: Vec<_> = match window.as_slice() {
                [(file, chunk)] if !decoder.is_settled() => vec![self.decoder.settle(file, chunk)],
                window => window.par_iter().map(decode).collect(),
            };
            for (block, (file, _)) in blocks.into_iter().zip(&window) {
                self.take(block?, file)?;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// The fault of a channel without a row.
    pub(crate) fn nothing(channel: &Channel) -> TrainError {
        let (name, path) = (channel.name, channel.path.display());
        TrainError::client(format!("channel {name}: expected rows in {path}, found none"))
    }

    /// The next pieces: the first alone, since the others are held to what it says.
    fn window(&mut self) -> Result<Vec<(Arc<Path>, Chunk)>, TrainError> {
        let settled = self.decoder.is_settled();
        let bytes_max = rayon::current_num_threads() * PIECES_A_THREAD * CHUNK_BYTES;
        let pieces_max = if settled { PIECES_MAX } else { 1 };
        let (mut window, mut bytes) = (Vec::new(), 0);
        while window.len() < pieces_max && bytes < bytes_max {
            let Some((file, chunk)) = self.piece()? else { break };
            bytes += chunk.bytes.len();
            window.push((file, chunk));
        }
        Ok(window)
    }

    fn piece(&mut self) -> Result<Option<(Arc<Path>, Chunk)>, TrainError> {
        loop {
            if let Some((file, chunks)) = &mut self.open {
                let fault = |reason| TrainError::client(format!("{}: {reason}", file.display()));
                if let Some(chunk) = chunks.next().map_err(fault)? {
                    return Ok(Some((Arc::clone(file), chunk)));
                }
                self.open = None;
            }
            let Some(path) = self.files.pop_front() else { return Ok(None) };
            let file = File::open(&path)
                .map_err(|error| TrainError::client(format!("{}: {error}", path.display())))?;
            self.open = Some((path.into(), Chunks::new(Box::new(file), self.format)));
        }
    }

    /// Checks a block against those before and keeps the rows that are selected.
    fn take(&mut self, block: DMatrix, file: &Path) -> Result<(), TrainError> {
        if block.is_empty() {
            return Ok(());
        }
        let file = file.display();
        let has = (!block.weights().is_empty(), !block.queries().is_empty());
        let expected = *self.has.get_or_insert(has);
        if expected.0 != has.0 {
            return Err(TrainError::client(format!("{file}: expected weights in all files or in none")));
        }
        if expected.1 != has.1 {
            return Err(TrainError::client(format!("{file}: expected query ids in all rows or in none")));
        }
        if let Some(query) = self.together.torn(block.queries()) {
            return Err(TrainError::client(format!(
                "{file}: expected the rows of a query to stand together, found qid {query} again after others"
            )));
        }
        let before = self.rows_seen;
        self.rows_seen += block.rows() as u64;
        let block = match &self.selection {
            Selection::All => block,
            selection => {
                let mut kept = Gather::new(block.storage() == Storage::Sparse, block.columns());
                let places = 0..block.rows();
                places
                    .filter(|row| selection.keeps(before + *row as u64))
                    .for_each(|row| kept.push(&block, row));
                kept.finish()
            }
        };
        if !block.is_empty() {
            self.ready.push_back(block);
        }
        Ok(())
    }
}
