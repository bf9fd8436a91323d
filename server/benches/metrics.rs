//! What counting one invocation costs: a request begun and ended, with the times of its phases.
//! `cargo bench -p server --bench metrics`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use divan::Bencher;
use server::error::Code;
use server::metrics::{Metrics, Phases, VariantLabels, VariantMetrics};

fn main() {
    divan::main();
}

/// On one thread, where shards bring nothing, and on two, which must not wait for each other.
#[divan::bench(threads = [1, 2])]
fn invocation(bencher: Bencher<'_, '_>) {
    let variant = Metrics::default().variant("model", "AllTraffic");
    counted(bencher, &variant);
}

/// The same where periods are kept too, as `clary up` does.
#[divan::bench(threads = [1, 2])]
fn production_invocation(bencher: Bencher<'_, '_>) {
    let labels =
        VariantLabels { endpoint: "e".into(), variant: "AllTraffic".into(), config: Some("c".into()) };
    let metrics = Metrics::default();
    let variant = metrics.production_variant(labels);
    counted(bencher, &variant);
}

fn counted(bencher: Bencher<'_, '_>, variant: &VariantMetrics) {
    let started = Instant::now();
    let ended = started + Duration::from_micros(55);
    let phases = Phases {
        queue: Duration::ZERO,
        decode: Duration::from_nanos(3_100),
        predict: Duration::from_micros(40),
        encode: Duration::from_nanos(450),
    };
    bencher.bench(|| {
        variant.begin(black_box(started));
        variant.end(black_box(Code::Ok), Some(black_box(&phases)), black_box(started), black_box(ended));
    });
}

/// A page of so many variants: of a thousand lines of samples (6), of a thousand series, where a histogram with all its lines
/// is one (63), and of a large server (100).
#[divan::bench(args = [6, 63, 100])]
fn page(bencher: Bencher<'_, '_>, variants: usize) {
    let metrics = Metrics::default();
    let _variants: Vec<_> =
        (0..variants).map(|model| metrics.variant(&format!("model-{model}"), "AllTraffic")).collect();
    let samples = metrics.render().lines().filter(|line| !line.starts_with('#')).count();
    assert!((170 * variants..190 * variants + 30).contains(&samples), "{samples} samples");
    bencher.bench(|| metrics.render());
}
