//! The hosts of one training: who this one is, and sums over all of them.
//!
//! Every operation is collective: all hosts call it in the same order with as many values. Sums are taken in the order of
//! the hosts, so that every host gets the same bits. The hosts are a star: all talk to host 0 over TCP ([`link`]), and find
//! it as [`rendezvous`] says. There is no secret in it: the network of a training job is its own.

mod link;
mod rendezvous;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::link::{Link, Operation};
pub use self::rendezvous::{COLLECTIVE_PORT, Meeting};
use crate::TrainError;

/// The hosts that train together.
#[derive(Debug, Default)]
pub struct Cluster {
    rank: usize,
    /// The names of all hosts; empty for one alone.
    hosts: Vec<String>,
    /// Host 0: a link to every other, in their order. Others: the link to host 0.
    links: Mutex<Vec<Link>>,
}

impl Cluster {
    /// One host alone.
    pub fn single() -> Self {
        Self::default()
    }

    /// This host among others, as `meeting` says; waits until all are there.
    ///
    /// # Errors
    /// When the hosts do not find each other in time.
    pub fn meet(meeting: &Meeting) -> Result<Self, TrainError> {
        let links = rendezvous::meet(meeting)?;
        Ok(Self { rank: meeting.rank, hosts: meeting.hosts.clone(), links: Mutex::new(links) })
    }

    /// `size` hosts over loopback, one each for the threads of a test.
    ///
    /// # Panics
    /// When the machine has no loopback.
    pub fn for_tests(size: usize) -> Vec<Self> {
        let hosts: Vec<String> = (1..=size).map(|host| format!("algo-{host}")).collect();
        let cluster = |(rank, links)| Self { rank, hosts: hosts.clone(), links: Mutex::new(links) };
        rendezvous::over_loopback(&hosts).into_iter().enumerate().map(cluster).collect()
    }

    /// This host's place among all, from 0. Host 0 writes the model.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of hosts.
    pub fn size(&self) -> usize {
        self.hosts.len().max(1)
    }

    /// Whether this is host 0.
    pub fn is_root(&self) -> bool {
        self.rank == 0
    }

    /// The address at which all hosts reach host 0; `None` for one alone.
    pub fn root_address(&self) -> Option<IpAddr> {
        let links = self.links();
        let link = links.first()?;
        if self.is_root() { link.local_address() } else { link.peer_address() }
    }

    /// Replaces `values` by their sums over all hosts, added in the order of the hosts.
    ///
    /// # Errors
    /// When a host is gone, or does not add as many values.
    pub fn sum(&self, values: &mut [f64]) -> Result<(), TrainError> {
        self.reduce(values, |sum, value| *sum += value)
    }

    /// Replaces `values` by the largest of all hosts, each for itself.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn max(&self, values: &mut [f64]) -> Result<(), TrainError> {
        self.reduce(values, |largest, value| *largest = largest.max(value))
    }

    /// Whether `claim` holds at any host, at every host.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn any(&self, claim: bool) -> Result<bool, TrainError> {
        let mut count = [f64::from(u8::from(claim))];
        self.sum(&mut count)?;
        Ok(count[0] > 0.0)
    }

    /// The bytes of every host, in the order of the hosts, at every host.
    ///
    /// # Errors
    /// When a host is gone.
    pub fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        let mut links = self.links();
        let Some(first) = links.first_mut() else { return Ok(vec![bytes]) };
        if !self.is_root() {
            first.send(Operation::Gather, &bytes)?;
            return unpack(&first.receive(Operation::Gather, &mut [])?);
        }
        let mut all = vec![bytes];
        for place in 0..links.len() {
            all.push(receive(&mut links, place, Operation::Gather)?);
        }
        send_to_all(&mut links, Operation::Gather, &pack(&all))?;
        Ok(all)
    }

    /// Host 0's bytes, at every host.
    ///
    /// # Errors
    /// When a host is gone.
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>, TrainError> {
        let mut links = self.links();
        let Some(first) = links.first_mut() else { return Ok(bytes) };
        if !self.is_root() {
            return first.receive(Operation::Broadcast, &mut []);
        }
        send_to_all(&mut links, Operation::Broadcast, &bytes)?;
        Ok(bytes)
    }

    /// Tells the others why this host trains no longer, so that they end with the same reason.
    pub fn leave(&self, error: &TrainError) {
        self.links().iter_mut().for_each(|link| link.abort(error));
    }

    fn reduce(&self, values: &mut [f64], combine: impl Fn(&mut f64, f64)) -> Result<(), TrainError> {
        let mut links = self.links();
        let Some(first) = links.first_mut() else { return Ok(()) };
        if !self.is_root() {
            first.send(Operation::Reduce, &to_bytes(values))?;
            let reduced = first.receive(Operation::Reduce, &mut [])?;
            return from_bytes(&reduced, values, first.name(), |value, reduced| *value = reduced);
        }
        for place in 0..links.len() {
            let bytes = receive(&mut links, place, Operation::Reduce)?;
            from_bytes(&bytes, values, links[place].name(), &combine)?;
        }
        send_to_all(&mut links, Operation::Reduce, &to_bytes(values))
    }

    /// One operation at a time: what a link carries would be mixed up otherwise.
    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the host at `place` sends, while the others are watched: when one is gone, all are told.
fn receive(links: &mut [Link], place: usize, operation: Operation) -> Result<Vec<u8>, TrainError> {
    let (before, rest) = links.split_at_mut(place);
    let (link, after) = rest.split_first_mut().expect("the place is of a link");
    let mut others: Vec<&mut Link> = before.iter_mut().chain(after).collect();
    let received = link.receive(operation, &mut others);
    received.inspect_err(|error| links.iter_mut().for_each(|link| link.abort(error)))
}

fn send_to_all(links: &mut [Link], operation: Operation, bytes: &[u8]) -> Result<(), TrainError> {
    let sent = links.iter_mut().try_for_each(|link| link.send(operation, bytes));
    sent.inspect_err(|error| links.iter_mut().for_each(|link| link.abort(error)))
}

fn to_bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Combines what the host `name` sent into `values`.
fn from_bytes(
    bytes: &[u8],
    values: &mut [f64],
    name: &str,
    combine: impl Fn(&mut f64, f64),
) -> Result<(), TrainError> {
    let (found, expected) = (bytes.len() / 8, values.len());
    if bytes.len() != expected * 8 {
        return Err(TrainError::Internal(format!(
            "host {name}: expected {expected} values to be reduced as here, found {found}"
        )));
    }
    let (eights, _) = bytes.as_chunks::<8>();
    values.iter_mut().zip(eights).for_each(|(value, eight)| combine(value, f64::from_le_bytes(*eight)));
    Ok(())
}

/// Pieces one after the other, each after its length.
fn pack(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.len() + 8).sum());
    for piece in pieces {
        bytes.extend((piece.len() as u64).to_le_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}

/// The inverse of [`pack`].
fn unpack(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, TrainError> {
    let damaged = || TrainError::Internal("host 0: expected pieces after their lengths, found others".into());
    let mut pieces = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (piece, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        pieces.push(piece.to_vec());
        bytes = rest;
    }
    if bytes.is_empty() { Ok(pieces) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// What `work` gives at each of `size` hosts.
    fn at_all<T: Send>(size: usize, work: impl Fn(Cluster) -> T + Sync) -> Vec<T> {
        let work = &work;
        thread::scope(|scope| {
            let hosts: Vec<_> = Cluster::for_tests(size)
                .into_iter()
                .map(|cluster| scope.spawn(move || work(cluster)))
                .collect();
            hosts.into_iter().map(|host| host.join().expect("no panic")).collect()
        })
    }

    #[test]
    fn one_host_keeps_what_it_has() {
        let cluster = Cluster::single();
        let mut values = [1.5, 2.5];
        cluster.sum(&mut values).expect("alone");
        assert_eq!((values, cluster.size(), cluster.is_root()), ([1.5, 2.5], 1, true));
        assert_eq!(cluster.gather(vec![7]).expect("alone"), [[7]]);
        assert_eq!(cluster.broadcast(vec![7]).expect("alone"), [7]);
        assert_eq!(cluster.root_address(), None);
    }

    #[test]
    fn sums_are_the_same_bits_at_all_hosts_in_the_order_of_the_hosts() {
        // In another order the sum of these is another: 1e16 swallows the ones.
        let parts = [1e16, 1.0, 1.0, -1e16];
        let found = at_all(4, |cluster| {
            let mut values = vec![parts[cluster.rank()]; 3];
            for _ in 0..50 {
                values.fill(parts[cluster.rank()]);
                cluster.sum(&mut values).expect("all are there");
            }
            values
        });
        let expected = ((1e16 + 1.0) + 1.0) - 1e16;
        assert_eq!(found, vec![vec![expected; 3]; 4]);
    }

    #[test]
    fn bytes_go_round() {
        let found = at_all(3, |cluster| {
            let rank = cluster.rank() as u8;
            let gathered = cluster.gather(vec![rank; usize::from(rank)]).expect("all are there");
            let told = cluster.broadcast(vec![rank + 40]).expect("all are there");
            let mut largest = [f64::from(rank)];
            cluster.max(&mut largest).expect("all are there");
            let any = cluster.any(rank == 1).expect("all are there");
            let none = cluster.any(false).expect("all are there");
            (gathered, told, largest, any, none, cluster.root_address())
        });
        let loopback = Some(IpAddr::from([127, 0, 0, 1]));
        let expected = (vec![vec![], vec![1], vec![2, 2]], vec![40], [2.0], true, false, loopback);
        assert_eq!(found, vec![expected; 3]);
    }

    #[test]
    fn large_pieces_pass() {
        let found = at_all(2, |cluster| {
            let piece = vec![cluster.rank() as u8; 5 << 20];
            let gathered = cluster.gather(piece).expect("all are there");
            gathered.iter().map(|piece| (piece.len(), piece[piece.len() - 1])).collect::<Vec<_>>()
        });
        assert_eq!(found, vec![vec![(5 << 20, 0), (5 << 20, 1)]; 2]);
    }

    #[test]
    fn a_host_that_is_gone_is_named_at_all_others() {
        // Host algo-2 waits in the operation; algo-3 leaves, though the root waits for algo-2 first.
        let found = at_all(3, |cluster| match cluster.rank() {
            2 => None,
            1 => cluster.broadcast(vec![]).err().map(|error| error.to_string()),
            _ => cluster.sum(&mut [1.0]).err().map(|error| error.to_string()),
        });
        for error in found.iter().take(2) {
            let error = error.as_deref().expect("a host is missing");
            assert!(error.contains("host algo-3 is gone"), "{error}");
        }
    }

    #[test]
    fn a_host_that_fails_says_why_and_whose_fault_it_is() {
        let found = at_all(3, |cluster| {
            if cluster.rank() == 1 {
                cluster.leave(&TrainError::client("row 7: expected a number"));
                return (0, String::new());
            }
            let error = cluster.sum(&mut [1.0]).expect_err("a host left");
            (error.exit_code(), error.to_string())
        });
        let expected = (2, "host algo-2 failed: row 7: expected a number".to_owned());
        assert_eq!([&found[0], &found[2]], [&expected, &expected]);
    }

    #[test]
    fn hosts_that_do_different_things_are_told() {
        let found = at_all(2, |cluster| match cluster.is_root() {
            true => cluster.sum(&mut [1.0]).expect_err("they differ").to_string(),
            false => cluster.sum(&mut [1.0, 2.0]).expect_err("they differ").to_string(),
        });
        assert!(found[0].contains("host algo-2: expected 1 values"), "{}", found[0]);
        let found = at_all(2, |cluster| match cluster.is_root() {
            true => cluster.sum(&mut [1.0]).expect_err("they differ").to_string(),
            false => cluster.gather(vec![]).expect_err("they differ").to_string(),
        });
        assert!(found[0].contains("host algo-2: expected Reduce as here, found Gather"), "{}", found[0]);
    }
}
