//! A batch transform's memory does not grow with its input: one object of any size, made while it is read, through a limit that
//! would kill a program that holds it.
//!
//! `CLARY_TRANSFORM_GB` says how large the object is; 20 takes minutes.

use std::io::{self, Read};
use std::sync::Arc;

use harness::synthetic::{PERIOD, ROW_BYTES, Synthetic};
use harness::transform::MemoryGroup;
use harness::{FaultStore, Oracle, Transform, artifacts};

use crate::number;

/// The object, unless `CLARY_TRANSFORM_GB` says otherwise.
/// Reason: seconds, with and without optimisations.
const BYTES_DEFAULT: u64 = if cfg!(debug_assertions) { 100_000_000 } else { 1_000_000_000 };

/// What a transform may have. Reason: what is promised.
const MEMORY_BYTES: u64 = 256 << 20;

/// The steady state begins when so much was read, or half of the object if that is less.
const WARM_BYTES: u64 = 1_000_000_000;

/// How much larger the memory of the second half of the steady state may be than that of the first.
const GROWTH_MAX: f64 = 1.05;

/// The same for an object that ends before. Reason: a few parts on their way are a tenth of what is resident.
const GROWTH_SHORT_MAX: f64 = 1.2;

/// Different values of a cell.
const VALUES: usize = 10_000;

/// A model whose answer depends on the first cell alone, so that outputs of any size can be foretold.
fn artifact() -> Vec<u8> {
    artifacts::regressor(&[1.0, 0.0, 0.0, 0.0], 0.5)
}

/// The answers to each value of the first cell.
fn answers() -> Vec<Vec<u8>> {
    let oracle = Oracle::of_bytes(&artifact());
    let rows: String = (0..VALUES).map(|value| format!("0.{value:04},0,0,0\n")).collect();
    let answer = oracle.answer("text/csv", rows.as_bytes(), "text/csv");
    let answers: Vec<_> = answer.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    assert_eq!(answers.len(), VALUES);
    answers
}

/// The answers to one period of the rows; they come again as the rows do.
struct Output {
    period: Vec<u8>,
    at: usize,
    left: u64,
}

impl Output {
    fn of(synthetic: &Synthetic) -> Self {
        let answers = answers();
        let answers = |count: u64| -> Vec<u8> {
            let answer = |number| &answers[usize::from(synthetic.rows().cells(number)[0])][..];
            (0..count).flat_map(answer).copied().collect()
        };
        let (periods, rest) = (synthetic.count() / PERIOD, answers(synthetic.count() % PERIOD));
        let period = answers(PERIOD);
        let left = periods * period.len() as u64 + rest.len() as u64;
        Self { period, at: 0, left }
    }
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.period.len() - self.at).min(self.left.min(1 << 30) as usize);
        buffer[..count].copy_from_slice(&self.period[self.at..self.at + count]);
        self.at = (self.at + count) % self.period.len();
        self.left -= count as u64;
        Ok(count)
    }
}

/// Resident memory after so many bytes were read.
#[derive(Debug, Clone, Copy)]
struct Sample {
    read_bytes: u64,
    memory_bytes: u64,
}

/// The smallest and the largest memory between two places of the object.
fn bounds(samples: &[Sample], from: u64, to: u64) -> (u64, u64) {
    let within = samples.iter().filter(|sample| (from..to).contains(&sample.read_bytes));
    let memory = within.map(|sample| sample.memory_bytes);
    let bounds = memory.fold((u64::MAX, 0), |(least, most), bytes| (least.min(bytes), most.max(bytes)));
    assert!(bounds.0 <= bounds.1, "samples from all over the object");
    bounds
}

/// The mean memory between two places of the object: what is resident at a moment moves with the parts on their way.
fn mean(samples: &[Sample], from: u64, to: u64) -> u64 {
    let within = samples.iter().filter(|sample| (from..to).contains(&sample.read_bytes));
    let (sum, count) = within.fold((0, 0), |(sum, count), sample| (sum + sample.memory_bytes, count + 1));
    sum / count
}

#[test]
fn memory_is_flat_whatever_the_size_of_the_object() {
    let bytes = match number("CLARY_TRANSFORM_GB", 0) {
        0 => BYTES_DEFAULT,
        gigabytes => gigabytes * 1_000_000_000,
    };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.tar.gz");
    std::fs::write(&model, artifact()).unwrap();
    let synthetic = Arc::new(Synthetic::new(bytes / ROW_BYTES as u64, 5));
    let store = FaultStore::synthetic(Arc::clone(&synthetic), 1);
    // Where a tester may make no group, what is resident is still measured.
    let group = MemoryGroup::new(MEMORY_BYTES);
    let transform = match &group {
        Some(group) => Transform::within(group, &model),
        None => Transform::of(&model),
    };
    let transform = transform.args(&["--content-type", "text/csv", "--accept", "text/csv"]).args(&[
        "--input",
        "s3://synthetic/in/",
        "--output",
        "s3://sink/out/",
        "--split-type",
        "Line",
        "--max-payload-mb",
        "1",
        "--max-concurrent-transforms",
        "8",
    ]);
    let mut running = transform.path("--journal", &folder.path().join("journal")).store(&store.url()).start();
    let mut samples = Vec::new();
    // A gigabyte is given as long as a usual answer.
    let is_good = running.wait(5 + (bytes / 1_000_000_000) as u32, |running| {
        let read_bytes = synthetic.read_bytes();
        if let Some(memory_bytes) = running.memory_bytes()
            && samples.last().is_none_or(|last: &Sample| last.read_bytes < read_bytes)
        {
            samples.push(Sample { read_bytes, memory_bytes });
        }
    });
    assert!(is_good, "{}", running.log());
    let bytes = synthetic.bytes();
    assert!(synthetic.read_bytes() <= bytes + bytes / 10, "it is read once");

    let warm = WARM_BYTES.min(bytes / 2);
    let middle = warm + (bytes - warm) / 2;
    let (first, second) = (mean(&samples, warm, middle), mean(&samples, middle, bytes));
    for tenth in 0..10 {
        let (from, to) = (bytes / 10 * tenth, bytes / 10 * (tenth + 1));
        let (least, most) = bounds(&samples, from, to);
        let mean = mean(&samples, from, to);
        println!("{tenth}/10 of {bytes} bytes: {} to {} MiB, mean {}", least >> 20, most >> 20, mean >> 20);
    }
    println!("{bytes} bytes: {} MiB, then {} MiB of memory", first >> 20, second >> 20);
    let growth_max = if warm < WARM_BYTES { GROWTH_SHORT_MAX } else { GROWTH_MAX };
    assert!(second as f64 <= first as f64 * growth_max, "{first}, then {second} bytes");
    assert!(bounds(&samples, 0, bytes).1 <= MEMORY_BYTES, "{first}, then {second} bytes");

    let output = synthetic.sink().object("out/rows.csv.out").expect("an output");
    output.is(&mut Output::of(&synthetic)).unwrap();
    assert_eq!((synthetic.sink().keys().len(), synthetic.sink().unfinished()), (1, 0));
}
