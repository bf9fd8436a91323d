//! The hosts of one training: who this one is, and sums over all of them.
//!
//! Every operation is collective: all hosts call it in the same order with as many values. Sums are taken in the order of
//! the hosts, so that every host gets the same bits.

use crate::TrainError;

/// The hosts that train together.
#[derive(Debug, Default)]
pub struct Cluster {
    rank: usize,
    size: usize,
}

impl Cluster {
    /// One host alone.
    pub fn single() -> Self {
        Self { rank: 0, size: 1 }
    }

    /// This host's place among all, from 0. Host 0 writes the model.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of hosts.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether this is host 0.
    pub fn is_root(&self) -> bool {
        self.rank == 0
    }

    /// Replaces `values` by their sums over all hosts, added in the order of the hosts.
    ///
    /// # Errors
    /// When a host is gone.
    pub fn sum(&self, _values: &mut [f64]) -> Result<(), TrainError> {
        Ok(())
    }

    /// The bytes of every host, in the order of the hosts, at every host.
    ///
    /// # Errors
    /// When a host is gone.
    pub fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        Ok(vec![bytes])
    }

    /// Host 0's bytes, at every host.
    ///
    /// # Errors
    /// When a host is gone.
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>, TrainError> {
        Ok(bytes)
    }
}
