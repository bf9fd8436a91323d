//! A share of a transform: which objects, and which bytes of large ones, are one runner's of several.
//!
//! An object belongs to the runner `spread(its output's key) % count`, a fixed hash. A large object of lines is everybody's:
//! each takes the lines that start in its part of the bytes, and writes them as an object of its own; put one after another
//! they are the output.
//! Who belongs where follows from keys and sizes alone, so that runners need not know of each other.

use codecs::framing::SplitType;
use object_store::path::{self, Path};
use serde::{Deserialize, Serialize};

use crate::input::{InputObject, below};
use crate::journal::FOLDER;
use crate::process::Processing;
use crate::read::ReadSpan;
use crate::settings::{AssembleWith, Compression, ErrorPolicy, Settings};

/// From how many bytes on an object is cut, unless settings say otherwise. Reason: below, a runner is done with all of it in the
/// time that a few more objects take, and cutting costs a merge.
pub const CUT_BYTES: u64 = 256 << 20;

/// The folder, in that of the job, of what runners write of objects that they share.
const SHARES_FOLDER: &str = "shares";

/// A share of a transform: `index` of `count`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

/// What a runner does of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it is another's.
    Nothing,
    /// All of it.
    Whole,
    /// The lines that start in these bytes, written to this key.
    Lines(ReadSpan, Path),
}

impl Shard {
    /// What this runner does of `object`, whose output is below `output_prefix`.
    ///
    /// # Errors
    /// When the store cannot name the share's output.
    pub fn part(
        self,
        object: &InputObject,
        output_prefix: &Path,
        job_id: &str,
        settings: &Settings,
    ) -> Result<Part, path::Error> {
        if self.cuts(object, settings) {
            let key = self.share_key(output_prefix, job_id, &object.output)?;
            return Ok(Part::Lines(self.span(object.size), key));
        }
        let is_ours = spread(object.output.as_ref()) % u64::from(self.count) == u64::from(self.index);
        Ok(if is_ours { Part::Whole } else { Part::Nothing })
    }

    /// Whether an object is cut: lines whose answers are lines too, so that it does not matter which are sent together (a JSON
    /// document answers all of a batch); not where records are numbered, since how many come before is not known; nor where
    /// some are put aside, which is done in one file for an object.
    pub fn cuts(self, object: &InputObject, settings: &Settings) -> bool {
        let is_lines_to_lines = settings.split_type == SplitType::Line
            && settings.assemble_with == AssembleWith::Line
            && settings.compression == Compression::None
            && settings.answers.are_lines();
        let numbers_records = settings.processing.as_ref().is_some_and(Processing::numbers_records);
        let stands_alone = numbers_records || settings.error_policy == ErrorPolicy::Quarantine;
        self.count > 1 && object.size >= settings.cut_bytes && is_lines_to_lines && !stands_alone
    }

    /// This runner's bytes of an object of `size`.
    pub fn span(self, size: u64) -> ReadSpan {
        let cut = |index: u32| (u128::from(size) * u128::from(index) / u128::from(self.count)) as u64;
        ReadSpan { from: cut(self.index), to: Some(cut(self.index + 1)) }
    }

    /// The key of what this runner writes of an object that is cut and whose output is `output`. In the order of `index` these
    /// objects, one after another, are that output.
    ///
    /// # Errors
    /// When the store cannot name it.
    pub fn share_key(self, output_prefix: &Path, job_id: &str, output: &Path) -> Result<Path, path::Error> {
        let output = output.as_ref();
        let relative = output.strip_prefix(output_prefix.as_ref()).unwrap_or(output).trim_start_matches('/');
        let (index, count) = (self.index, self.count);
        let name = format!("{relative}.{index:05}-of-{count:05}");
        Path::parse(below(output_prefix, &format!("{FOLDER}/{job_id}/{SHARES_FOLDER}/{name}")))
    }
}

/// FNV-1a with its bits mixed once more: alone, its lowest bit is the parity of the key's, so that of two runners one might get
/// all.
fn spread(key: &str) -> u64 {
    let hash = fnv1a(key);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// FNV-1a of 64 bits: stable over releases and machines, which the standard library's hashes are not.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::DataProcessing;
    use crate::settings::{Answers, InferenceIds};

    fn object(output: &str, size: u64) -> InputObject {
        let path = Path::parse("in/x").unwrap();
        InputObject { path, size, e_tag: None, modified: None, output: Path::parse(output).unwrap() }
    }

    fn lines() -> Settings {
        Settings {
            split_type: SplitType::Line,
            assemble_with: AssembleWith::Line,
            answers: Answers::CsvLines,
            ..Settings::default()
        }
    }

    fn numbered() -> Option<Processing> {
        let ids = InferenceIds { started: "2026-01-01T00:00:00Z".to_owned() };
        let asked = DataProcessing {
            inference_ids: Some(&ids),
            split_type: SplitType::Line,
            assemble_with: AssembleWith::Line,
            ..DataProcessing::default()
        };
        Processing::parse(&asked).unwrap()
    }

    fn part(index: u32, count: u32, object: &InputObject, settings: &Settings) -> Part {
        Shard { index, count }.part(object, &Path::parse("out").unwrap(), "job", settings).unwrap()
    }

    #[test]
    fn an_object_is_one_runners() {
        for key in 0..200 {
            let object = object(&format!("out/{key}.csv.out"), 10);
            let owners: Vec<u32> =
                (0..7).filter(|&index| part(index, 7, &object, &lines()) == Part::Whole).collect();
            assert_eq!(owners.len(), 1);
        }
    }

    #[test]
    fn runners_get_about_as_much() {
        for count in [2, 3, 4, 7, 8] {
            for name in [
                |key| format!("out/part-{key:05}.csv.out"),
                |key| format!("out/{}/x{}.out", key % 2, key * 2),
            ] {
                let mut shares = vec![0; count];
                (0..1000).for_each(|key: u32| shares[(spread(&name(key)) % count as u64) as usize] += 1);
                let fair = 1000 / count;
                assert!(shares.iter().all(|&share| (fair / 2..2 * fair).contains(&share)), "{shares:?}");
            }
        }
    }

    /// A release that changed it would leave out objects of transforms that are under way.
    #[test]
    fn the_hash_is_fixed() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(spread(""), 0xecba_3df2_c338_3c52);
    }

    #[test]
    fn spans_are_the_object() {
        for (size, count) in [(CUT_BYTES, 2), (CUT_BYTES + 1, 7), (u64::MAX, 1000)] {
            let spans: Vec<ReadSpan> = (0..count).map(|index| Shard { index, count }.span(size)).collect();
            assert_eq!((spans[0].from, spans[spans.len() - 1].to), (0, Some(size)));
            assert!(spans.windows(2).all(|pair| pair[0].to == Some(pair[1].from)));
        }
    }

    #[test]
    fn large_objects_of_lines_are_everybodys() {
        let large = object("out/a/x.csv.out", CUT_BYTES);
        let half = CUT_BYTES / 2;
        let share = Path::parse("out/_clary/job/shares/a/x.csv.out.00001-of-00002").unwrap();
        let span = ReadSpan { from: half, to: Some(CUT_BYTES) };
        assert_eq!(part(1, 2, &large, &lines()), Part::Lines(span, share));
        assert_eq!(part(0, 1, &large, &lines()), Part::Whole);
        for other in [
            Settings { split_type: SplitType::RecordIo, ..lines() },
            Settings { assemble_with: AssembleWith::None, ..lines() },
            Settings { compression: Compression::Gzip, ..lines() },
            Settings { processing: numbered(), ..lines() },
            Settings { cut_bytes: CUT_BYTES + 1, ..lines() },
            Settings { answers: Answers::JsonDocument, ..lines() },
            Settings { answers: Answers::CsvLine, ..lines() },
            Settings { answers: Answers::RecordIo, ..lines() },
            Settings { answers: Answers::Unknown, ..lines() },
            Settings { error_policy: ErrorPolicy::Quarantine, ..lines() },
        ] {
            assert!(!matches!(part(1, 2, &large, &other), Part::Lines(..)), "{other:?}");
        }
    }
}
