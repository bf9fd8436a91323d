//! CSV and libsvm to f32 rows and back, in bytes a second of the body, on one core.
//!
//! Three payloads of 30 columns: decimals of six to nine digits (measurements), the shortest decimals of f64 (what
//! `str` and `repr` of Python write, 16 or 17 digits), and small whole numbers (counts, categories). A naive decoder
//! (`split` and `str::parse`) stands beside. Every answer is compared with the naive one's before anything is timed.

use std::hint::black_box;

use codecs::{ContentType, Format};
use divan::Bencher;
use divan::counter::BytesCount;
use dmatrix::{DMatrix, Field, FieldShape, NumberStyle, Predictions, ResponseLayout, RowSchema};

fn main() {
    divan::main();
}

const COLUMNS: usize = 30;

/// Rows of each body: CSV bodies of 200 to 550 kB, which stay in the second-level cache as a request's do.
const ROWS: usize = 1000;

/// What the numbers of a payload look like.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    Measurements,
    PythonFloats,
    Counts,
}

const NUMBERS: [Numbers; 3] = [Numbers::Measurements, Numbers::PythonFloats, Numbers::Counts];

impl Numbers {
    fn draw(self, random: &mut fastrand::Rng) -> String {
        match self {
            Self::Measurements => {
                let places = random.usize(4..8);
                format!("{:.places$}", (random.f64() - 0.4) * 10_f64.powi(random.i32(1..3)))
            }
            Self::PythonFloats => format!("{}", (random.f64() - 0.4) * 100.0),
            Self::Counts => format!("{}", random.u32(0..1000)),
        }
    }

    /// Row-major cells.
    fn cells(self) -> Vec<String> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..ROWS * COLUMNS).map(|_| self.draw(&mut random)).collect()
    }

    fn csv(self) -> String {
        self.cells().chunks(COLUMNS).map(|row| row.join(",") + "\n").collect()
    }

    fn libsvm(self) -> String {
        let row = |row: &[String]| {
            let tokens = row.iter().enumerate().map(|(index, cell)| format!(" {index}:{cell}"));
            format!("1{}\n", tokens.collect::<String>())
        };
        self.cells().chunks(COLUMNS).map(row).collect()
    }

    fn values(self) -> Vec<f32> {
        self.cells().iter().map(|cell| cell.parse().expect("a decimal")).collect()
    }
}

/// Decodes once and compares, then measures.
fn bench_decode(bencher: Bencher<'_, '_>, format: Format, body: &str, expected: &[f32]) {
    let (content_type, schema) = (ContentType::new(format), RowSchema::exactly(COLUMNS));
    let mut rows = DMatrix::new();
    codecs::decode(&content_type, &schema, body.as_bytes(), &mut rows).expect("the body is rows");
    assert_eq!(rows.rows(), ROWS);
    assert!(rows.values().iter().zip(expected).all(|(found, value)| found.to_bits() == value.to_bits()));
    bencher.counter(BytesCount::of_str(body)).bench_local(|| {
        codecs::decode(&content_type, &schema, black_box(body.as_bytes()), &mut rows)
            .expect("the body is rows");
        black_box(rows.values().len())
    });
}

#[divan::bench(args = NUMBERS)]
fn csv(bencher: Bencher<'_, '_>, numbers: Numbers) {
    bench_decode(bencher, Format::Csv, &numbers.csv(), &numbers.values());
}

#[divan::bench(args = NUMBERS)]
fn libsvm(bencher: Bencher<'_, '_>, numbers: Numbers) {
    bench_decode(bencher, Format::LibSvm, &numbers.libsvm(), &numbers.values());
}

/// One row at a time, as single requests come.
#[divan::bench]
fn csv_one_row(bencher: Bencher<'_, '_>) {
    let numbers = Numbers::Measurements;
    let (body, expected) = (numbers.csv(), numbers.values());
    let line = body.lines().next().expect("a row");
    let (content_type, schema) = (ContentType::new(Format::Csv), RowSchema::exactly(COLUMNS));
    let mut rows = DMatrix::new();
    codecs::decode(&content_type, &schema, line.as_bytes(), &mut rows).expect("a row");
    assert_eq!(rows.values(), &expected[..COLUMNS]);
    bencher.counter(BytesCount::of_str(line)).bench_local(|| {
        codecs::decode(&content_type, &schema, black_box(line.as_bytes()), &mut rows).expect("a row");
        black_box(rows.values().len())
    });
}

#[divan::bench(args = NUMBERS)]
fn csv_naive(bencher: Bencher<'_, '_>, numbers: Numbers) {
    let body = numbers.csv();
    let mut values: Vec<f32> = Vec::new();
    bencher.counter(BytesCount::of_str(&body)).bench_local(|| {
        values.clear();
        let cells = black_box(&body).lines().flat_map(|line| line.split(','));
        values.extend(cells.map(|cell| cell.parse::<f32>().expect("a decimal")));
        black_box(values.len())
    });
    assert_eq!(values, numbers.values());
}

#[divan::bench]
fn encode_csv(bencher: Bencher<'_, '_>) {
    let scores = Numbers::Measurements.values();
    let mut predictions = Predictions::new();
    let field = Field::new("score", FieldShape::Scalar, NumberStyle::Float);
    predictions.reset(scores.len(), &[field], &ResponseLayout::default());
    predictions.fields_mut()[0].values.copy_from_slice(&scores);
    let accept = ContentType::new(Format::Csv);
    let mut body = Vec::new();
    codecs::encode(&accept, &predictions, &[], &mut body);
    let text = String::from_utf8(body.clone()).expect("ASCII");
    assert!(text.lines().map(|line| line.parse::<f32>().expect("a score")).eq(scores));
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
        body.clear();
        codecs::encode(&accept, black_box(&predictions), &[], &mut body);
        black_box(body.len())
    });
}
