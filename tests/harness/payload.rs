//! The same rows in every request format.
//!
//! Written by hand and plainly, apart from the codecs under test, so that both sides cannot share a mistake.

/// Rows of a batch, all of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Features of a row.
    pub columns: usize,
    /// Row by row.
    pub values: Vec<f32>,
}

/// The content types of requests that say the same of the same rows, with Content-Type as sent.
pub const CONTENT_TYPES: [&str; 7] = [
    "text/csv",
    "application/json",
    "application/jsonlines",
    "text/libsvm",
    "text/x-libsvm",
    "application/x-recordio-protobuf",
    // The same media type; the writer takes the sparse form.
    "application/json;charset=utf-8",
];

impl Rows {
    /// `count` rows drawn from `seed`, values in 0..1 of at most four decimals.
    pub fn draw(count: usize, columns: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let values = (0..count * columns).map(|_| (random.u32(..10_000) as f32) / 10_000.0).collect();
        Self { columns, values }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }

    /// The rows at `places`, in that order.
    #[must_use]
    pub fn pick(&self, places: &[usize]) -> Self {
        let row =
            |place: &usize| self.values[place * self.columns..(place + 1) * self.columns].iter().copied();
        Self { columns: self.columns, values: places.iter().flat_map(row).collect() }
    }

    /// The payload in `content_type`, one of [`CONTENT_TYPES`].
    pub fn write(&self, content_type: &str) -> Vec<u8> {
        match content_type {
            "text/csv" => self.lines(|row| join(row.iter().map(ToString::to_string))),
            "application/json" => {
                let instances = self
                    .iter()
                    .map(|row| format!("{{\"features\": [{}]}}", join(row.iter().map(ToString::to_string))));
                format!("{{\"instances\": [{}]}}", join(instances)).into_bytes()
            }
            "application/json;charset=utf-8" => {
                format!("{{\"instances\": [{}]}}", join(self.iter().map(sparse_instance))).into_bytes()
            }
            "application/jsonlines" => {
                self.lines(|row| format!("{{\"features\": [{}]}}", join(row.iter().map(ToString::to_string))))
            }
            "text/libsvm" | "text/x-libsvm" => self.lines(|row| {
                let cells = row.iter().enumerate().map(|(index, value)| format!("{index}:{value}"));
                format!("0 {}", cells.collect::<Vec<_>>().join(" "))
            }),
            "application/x-recordio-protobuf" => self.iter().flat_map(record).collect(),
            _ => panic!("{content_type} is not written here"),
        }
    }

    fn lines(&self, line: impl Fn(&[f32]) -> String) -> Vec<u8> {
        self.iter().map(|row| line(row) + "\n").collect::<String>().into_bytes()
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// The keys come last first: a reader may not rely on their order.
fn sparse_instance(row: &[f32]) -> String {
    let keys = join((0..row.len()).rev().map(|key| key.to_string()));
    let values = join(row.iter().rev().map(ToString::to_string));
    let shape = row.len();
    format!(
        "{{\"data\": {{\"features\": {{\"keys\": [{keys}], \"shape\": [{shape}], \"values\": [{values}]}}}}}}"
    )
}

/// A framed protobuf Record with a dense Float32Tensor in `features["values"]`.
pub fn record(row: &[f32]) -> Vec<u8> {
    let packed: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = field(1, &packed);
    let value = field(2, &tensor);
    let entry = [field(1, b"values"), field(2, &value)].concat();
    frame(&field(1, &entry))
}

/// A RecordIO frame around `payload`.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = 0xCED7_230A_u32.to_le_bytes().to_vec();
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(payload);
    frame.resize(frame.len().next_multiple_of(4), 0);
    frame
}

/// A length-delimited protobuf field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}
