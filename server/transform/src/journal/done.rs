//! What a journal says is done.

use std::collections::{BTreeMap, HashMap, HashSet};

use object_store::MultipartId;
use serde::{Deserialize, Serialize};

use super::line::{self, Line, ObjectName, StoredPart};
use crate::input::InputObject;
use crate::upload::Resume;

/// An output that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Records of the input.
    pub records: u64,
    /// Bytes of the output.
    pub bytes: u64,
    /// The version of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_e_tag: Option<String>,
}

/// What earlier runs of a transform did.
#[derive(Debug, Default)]
pub struct Done {
    /// By input and output; the input's version beside.
    finished: HashMap<(String, String), (Option<String>, Finished)>,
    uploads: HashMap<MultipartId, Upload>,
    /// The last upload of each output.
    latest: HashMap<String, MultipartId>,
}

#[derive(Debug)]
struct Upload {
    name: ObjectName,
    resume: Resume,
    parts: BTreeMap<u32, StoredPart>,
}

impl Done {
    /// The output of this object, if it was finished in this version.
    pub fn finished(&self, object: &InputObject) -> Option<&Finished> {
        let found = self.finished.get(&(object.path.to_string(), object.output.to_string()));
        found.filter(|(version, _)| *version == line::version(object)).map(|(_, finished)| finished)
    }

    /// Where to go on with this object, if parts of its output are stored. Whether the store still has them, it does not know:
    /// [`crate::upload::Writer::begin`] looks.
    pub fn resume(&self, object: &InputObject) -> Option<Resume> {
        let id = self.latest.get(object.output.as_ref())?;
        let upload = self.uploads.get(id).filter(|upload| upload.name == ObjectName::from(object))?;
        let mut resume = upload.resume.clone();
        let in_order = (1..).map_while(|number| upload.parts.get(&number));
        // Without a seal, a part that is shorter than its number's is what an end that was not reached left.
        let is_sealed = resume.sealed.is_some();
        let whole = |part: &&StoredPart| is_sealed || part.bytes == resume.part_sizes.bytes(part.number);
        resume.parts = in_order.take_while(whole).cloned().collect();
        if resume.sealed.is_some_and(|(bytes, _)| bytes != resume.bytes()) {
            resume.sealed = None;
        }
        let is_of_use = !resume.parts.is_empty() || resume.sealed.is_some();
        is_of_use.then_some(resume)
    }

    /// Uploads that may be gone on with: a sweep at the start leaves them.
    pub fn resumable(&self) -> HashSet<MultipartId> {
        self.latest.values().cloned().collect()
    }

    /// Takes in a line.
    pub(super) fn apply(&mut self, line: Line) {
        match line {
            Line::Finished { name, finished } => {
                if let Some(id) = self.latest.remove(&name.output) {
                    self.uploads.remove(&id);
                }
                self.finished.insert((name.object, name.output), (name.version, finished));
            }
            Line::Begun { name, upload, mark, standing, part_bytes } => {
                self.finished.remove(&(name.object.clone(), name.output.clone()));
                if let Some(before) = self.latest.insert(name.output.clone(), upload.clone()) {
                    self.uploads.remove(&before);
                }
                let resume = Resume::of(upload.clone(), mark, standing, part_bytes);
                self.uploads.insert(upload, Upload { name, resume, parts: BTreeMap::new() });
            }
            Line::Part { upload, part } => {
                if let Some(upload) = self.uploads.get_mut(&upload) {
                    upload.parts.insert(part.number, part);
                }
            }
            Line::Sealed { upload, bytes, end } => {
                if let Some(upload) = self.uploads.get_mut(&upload) {
                    upload.resume.sealed = Some((bytes, end));
                }
            }
            Line::Aborted { upload } => {
                if let Some(upload) = self.uploads.remove(&upload) {
                    self.latest.remove(&upload.name.output);
                }
            }
            Line::Failed(_) => {}
        }
    }
}
