//! What counting one invocation costs: a request begun and ended, with the times of its phases.
//! `cargo bench -p server --bench metrics`.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use server::error::Code;
use server::metrics::{Metrics, Phases};

fn main() {
    divan::main();
}

/// On one thread, where shards bring nothing, and on two, which must not wait for each other.
#[divan::bench(threads = [1, 2])]
fn invocation(bencher: Bencher<'_, '_>) {
    let variant = Metrics::default().variant("model", "AllTraffic");
    let phases = Phases {
        queue: Duration::ZERO,
        decode: Duration::from_nanos(3_100),
        predict: Duration::from_micros(40),
        encode: Duration::from_nanos(450),
    };
    bencher.bench(|| {
        variant.begin();
        variant.end(black_box(Code::Ok), Some(black_box(&phases)), black_box(Duration::from_micros(55)));
    });
}

/// A page of a hundred variants.
#[divan::bench]
fn page(bencher: Bencher<'_, '_>) {
    let metrics = Metrics::default();
    let _variants: Vec<_> =
        (0..100).map(|model| metrics.variant(&format!("model-{model}"), "AllTraffic")).collect();
    bencher.bench(|| metrics.render());
}
