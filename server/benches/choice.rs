//! What choosing a variant costs: by weight, by name, by key. `cargo bench -p server --bench choice`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use codecs::{ContentType, Format};
use divan::Bencher;
use dmatrix::{Predictions, ResponseLayout, RowSchema};
use models::{Input, Model, PredictError, Signature};
use server::metrics::Metrics;
use server::serving::alias::AliasTable;
use server::serving::draw::draw;
use server::serving::{
    AnswerType, Capacity, Cost, Endpoint, Invocation, LoadedModel, Models, ProductionVariant,
};

fn main() {
    divan::main();
}

/// Choices of one sample. Reason: one is shorter than a look at the clock.
const CHOICES: u64 = 1000;

/// A model that is never asked.
#[derive(Debug)]
struct Unasked(Signature);

impl Model for Unasked {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict(&self, _: Input<'_>, _: &mut Predictions) -> Result<(), PredictError> {
        Err(PredictError::Kind)
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

fn endpoint(variants: u32) -> Endpoint {
    let signature = Signature {
        algorithm: "unasked",
        rows: RowSchema::exactly(1),
        feature_names: Vec::new(),
        fields: Vec::new(),
        layout: ResponseLayout::default(),
        default_accept: "text/csv",
        undecodable_is_unsupported: false,
        media_types: None,
    };
    let model = Arc::new(LoadedModel {
        model: Box::new(Unasked(signature)),
        digest: Bytes::new(),
        cost: Cost { fixed_ns: 0, row_ns: 0 },
        answer_type: AnswerType::Negotiated(ContentType::new(Format::Csv)),
    });
    let metrics = Metrics::default();
    let variant = |index| ProductionVariant {
        name: format!("variant-{index}").into(),
        config: Bytes::new(),
        weight: f64::from(index + 1),
        models: Models::One(Arc::clone(&model)),
        instances: 1,
        capacity: Capacity::new(1),
        metrics: metrics.variant("endpoint", &format!("variant-{index}")),
    };
    Endpoint::new((0..variants).map(variant).collect()).expect("weights")
}

fn invocation() -> Invocation<'static> {
    let now = Instant::now();
    Invocation {
        endpoint: "endpoint",
        content_type: ContentType::new(Format::Csv),
        encoding: None,
        accept: None,
        point: 0,
        assignment_key: None,
        custom_attributes: None,
        target_variant: None,
        target_model: None,
        is_asynchronous: false,
        is_warmed: false,
        started: now,
        deadline: now,
    }
}

fn choose(bencher: Bencher<'_, '_>, variants: u32, asked: Invocation<'_>) {
    let endpoint = endpoint(variants);
    let bencher = bencher.counter(divan::counter::ItemsCount::new(CHOICES));
    bencher.bench_local(|| {
        let mut sum = 0;
        for count in 0..CHOICES {
            let asked = Invocation { point: draw(1, count), ..asked };
            sum += endpoint.choose_for(black_box(&asked)).expect("a variant");
        }
        sum
    });
}

/// One 64-bit draw.
#[divan::bench]
fn draws(bencher: Bencher<'_, '_>) {
    let bencher = bencher.counter(divan::counter::ItemsCount::new(CHOICES));
    bencher.bench_local(|| (0..CHOICES).fold(0, |sum: u64, count| sum ^ draw(black_box(1), count)));
}

/// The draw and the table alone.
#[divan::bench(args = [1, 2, 10])]
fn alias_table(bencher: Bencher<'_, '_>, arms: usize) {
    let weights: Vec<_> = (1..=arms).map(|weight| weight as f64).collect();
    let table = AliasTable::new(&weights).expect("weights");
    let bencher = bencher.counter(divan::counter::ItemsCount::new(CHOICES));
    bencher.bench_local(|| (0..CHOICES).map(|count| table.choose(draw(1, count))).sum::<usize>());
}

/// As most requests are.
#[divan::bench(args = [1, 2, 10])]
fn by_weight(bencher: Bencher<'_, '_>, variants: u32) {
    choose(bencher, variants, invocation());
}

/// TargetVariant: the last of them.
#[divan::bench(args = [1, 2, 10])]
fn by_name(bencher: Bencher<'_, '_>, variants: u32) {
    let name = format!("variant-{}", variants - 1);
    choose(bencher, variants, Invocation { target_variant: Some(&name), ..invocation() });
}

/// Weighted rendezvous hashing.
#[divan::bench(args = [1, 2, 10])]
fn by_key(bencher: Bencher<'_, '_>, variants: u32) {
    choose(bencher, variants, Invocation { assignment_key: Some("user-0123456789abcdef"), ..invocation() });
}

/// Making a table, as each change of weights does.
#[divan::bench(args = [1, 2, 10])]
fn building(bencher: Bencher<'_, '_>, arms: usize) {
    let weights: Vec<_> = (1..=arms).map(|weight| weight as f64).collect();
    bencher.bench_local(|| AliasTable::new(black_box(&weights)));
}
