//! Archives that nobody should unpack, written byte by byte: libraries refuse to make most of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One member of an archive, true or not.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as the header spells it.
    pub name: Vec<u8>,
    /// The type flag: `0` a file, `2` a symbolic link, `5` a directory, …
    pub kind: u8,
    /// The target of a link.
    pub link: Vec<u8>,
    /// The size the header states; that of the content when none.
    pub size: Option<u64>,
    /// The content.
    pub content: Vec<u8>,
}

impl Entry {
    /// A file.
    pub fn file(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            kind: b'0',
            link: Vec::new(),
            size: None,
            content: content.to_vec(),
        }
    }

    /// Anything else: a link with its target, a device, a directory.
    pub fn special(name: &str, kind: u8, link: &str) -> Self {
        Self { kind, link: link.as_bytes().to_vec(), ..Self::file(name, b"") }
    }
}

/// The tar stream of `entries`, ended as it should be.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(header(entry));
        bytes.extend(&entry.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// [`tar`], compressed.
pub fn tar_gz(entries: &[Entry]) -> Vec<u8> {
    gzip(&tar(entries))
}

/// `bytes`, compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn header(entry: &Entry) -> [u8; 512] {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.name[..entry.name.len().min(100)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    let size = entry.size.unwrap_or(entry.content.len() as u64);
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &entry.link[..entry.link.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Archives that must be refused whatever good model they also hold: what is wrong, and the bytes.
pub fn archives(model: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let good = || Entry::file("xgboost-model", model);
    let beside = |entry: Entry| tar_gz(&[good(), entry]);
    let whole = tar_gz(&[good()]);
    let mut trailing = whole.clone();
    trailing.extend(b"and more");
    let lying = Entry { size: Some(1 << 33), ..good() };
    vec![
        ("traversal", beside(Entry::file("../escaped", b"x"))),
        ("traversal inside", beside(Entry::file("a/../../escaped", b"x"))),
        ("absolute name", beside(Entry::file("/tmp/escaped", b"x"))),
        ("symbolic link", beside(Entry::special("link", b'2', "/etc/passwd"))),
        ("hard link", beside(Entry::special("link", b'1', "xgboost-model"))),
        ("character device", beside(Entry::special("null", b'3', ""))),
        ("fifo", beside(Entry::special("pipe", b'6', ""))),
        ("repeated name", tar_gz(&[good(), good()])),
        ("size beyond the end", tar_gz(&[lying])),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("trailing bytes", trailing),
        ("bomb", gzip(&tar(&[Entry::file("xgboost-model", &vec![0; 96 << 20])]))),
        (
            "too many entries",
            tar_gz(&(0..20_000).map(|n| Entry::file(&format!("f{n}"), b"")).collect::<Vec<_>>()),
        ),
        ("no model", tar_gz(&[Entry::file("readme.txt", b"nothing here")])),
        ("not gzip", b"PK\x03\x04 a zip file".to_vec()),
        ("empty", Vec::new()),
    ]
}
