//! Inference ids: a UUID for each record that follows from where the record is, so that a run that goes on after a crash writes
//! what the first one would have.

use sha2::{Digest, Sha256};

/// An object of a job, of whose records ids are made.
#[derive(Debug, Clone)]
pub struct ObjectId {
    /// The digest's state behind what all records of the object share.
    state: Sha256,
}

impl ObjectId {
    /// The object at `key` in the job `job`.
    pub fn new(job: &str, key: &str) -> Self {
        let mut state = Sha256::new();
        // Lengths first, so that ("ab", "c") is not ("a", "bc").
        for text in [job, key] {
            state.update((text.len() as u64).to_be_bytes());
            state.update(text.as_bytes());
        }
        Self { state }
    }

    /// Its record `number`, from 0.
    pub fn record(&self, number: u64) -> RecordId<'_> {
        RecordId { object: self, number }
    }
}

/// A record of an object, by its number. Its UUID is computed when it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct RecordId<'a> {
    object: &'a ObjectId,
    number: u64,
}

impl RecordId<'_> {
    /// The record's UUID as text, of version 8 (RFC 9562): 122 bits of a SHA-256.
    pub fn uuid(self) -> [u8; 36] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut state = self.object.state.clone();
        state.update(self.number.to_be_bytes());
        let digest = state.finalize();
        let mut text = [b'-'; 36];
        let mut places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
        for (index, &byte) in digest[..16].iter().enumerate() {
            let byte = match index {
                6 => 0x80 | (byte & 0x0F),
                8 => 0x80 | (byte & 0x3F),
                _ => byte,
            };
            for digit in [byte >> 4, byte & 0x0F] {
                let place = places.next().expect("a UUID has 32 digits");
                text[place] = HEX[usize::from(digit)];
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(job: &str, key: &str, record: u64) -> String {
        String::from_utf8(ObjectId::new(job, key).record(record).uuid().to_vec()).unwrap()
    }

    #[test]
    fn an_id_follows_from_where_the_record_is() {
        let id = uuid("job", "in/a.csv", 7);
        assert_eq!(id, uuid("job", "in/a.csv", 7));
        for other in [uuid("job", "in/a.csv", 8), uuid("job", "in/b.csv", 7), uuid("jobi", "n/a.csv", 7)] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn ids_are_uuids() {
        for record in 0..1000 {
            let id = uuid("j", "k", record);
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert!(parts.concat().bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
            assert!(
                parts[2].starts_with('8') && "89ab".contains(&parts[3][..1]),
                "{id}: version 8, variant 1"
            );
        }
    }

    /// The bytes of outputs depend on it: a change of the derivation breaks transforms that are under way.
    #[test]
    fn the_derivation_is_fixed() {
        assert_eq!(uuid("job", "in/a.csv", 7), "8a371c8c-08b8-862a-9bfd-c9b48362ecfa");
    }
}
