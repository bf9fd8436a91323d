//! A mini-batch's gradient, and the sum of those of several hosts.
//!
//! What goes over the network is as sparse as the mini-batch: the features that any host has are gathered, then one sum is
//! taken over their values.

use estimator::{Cluster, TrainError};

/// Sums over the rows of a mini-batch of the loss's derivatives.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Gradient {
    /// Features that are not 0 in some row, ascending.
    pub(crate) features: Vec<u32>,
    /// A feature's derivative of the linear weight, then those of its factors.
    pub(crate) values: Vec<f64>,
    pub(crate) bias: f64,
    /// How many rows were summed.
    pub(crate) rows: f64,
}

/// The sum of all hosts' gradients, at every host, to the same bits. `width` is the number of values a feature.
///
/// # Errors
/// When a host is gone.
pub(crate) fn exchange(
    cluster: &Cluster,
    mut gradient: Gradient,
    width: usize,
) -> Result<Gradient, TrainError> {
    if cluster.size() == 1 {
        return Ok(gradient);
    }
    let mine = gradient.features.iter().flat_map(|feature| feature.to_le_bytes()).collect();
    let all = union(&cluster.gather(mine)?);
    let mut values = vec![0.0; all.len() * width + 2];
    for (slot, feature) in gradient.features.iter().enumerate() {
        let place = all.binary_search(feature).expect("the union has every host's features");
        values[place * width..(place + 1) * width]
            .copy_from_slice(&gradient.values[slot * width..(slot + 1) * width]);
    }
    let end = all.len() * width;
    (values[end], values[end + 1]) = (gradient.bias, gradient.rows);
    cluster.sum(&mut values)?;
    (gradient.bias, gradient.rows) = (values[end], values[end + 1]);
    values.truncate(end);
    Ok(Gradient { features: all, values, ..gradient })
}

/// All features of all hosts, ascending, each once.
fn union(hosts: &[Vec<u8>]) -> Vec<u32> {
    let words =
        |bytes: &Vec<u8>| bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let mut all: Vec<u32> = hosts.iter().flat_map(|bytes| -> Vec<u32> { words(bytes) }).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_hosts_are_added_feature_by_feature() {
        let of = |features: &[u32], values: &[f64], bias: f64, rows: f64| Gradient {
            features: features.to_vec(),
            values: values.to_vec(),
            bias,
            rows,
        };
        let hosts = [
            of(&[1, 7], &[1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
            of(&[], &[], 0.0, 0.0),
            of(&[0, 7], &[10.0, 20.0, 30.0, 40.0], 0.25, 3.0),
        ];
        let expected = of(&[0, 1, 7], &[10.0, 20.0, 1.0, 2.0, 33.0, 44.0], 0.75, 5.0);
        let clusters = Cluster::for_tests(3);
        std::thread::scope(|scope| {
            let work = |(cluster, gradient): (Cluster, Gradient)| {
                scope.spawn(move || exchange(&cluster, gradient, 2).expect("all hosts are there"))
            };
            let threads: Vec<_> = clusters.into_iter().zip(hosts).map(work).collect();
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), expected);
            }
        });
    }
}
