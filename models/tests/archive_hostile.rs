//! Hostile archives, built byte by byte: each is refused with the entry named, nothing lands outside, nothing is left.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use models::archive::{Limits, Unpacked, unpack, unpack_within};
use models::{Artifact, LoadError};
use proptest::prelude::*;

/// A header, checksum included, as a tool would write it.
fn header(name: &[u8], kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0004755\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

/// Sets the checksum.
fn seal(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An entry with its data, padded.
fn entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name.as_bytes(), kind, data.len() as u64).to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str) -> Vec<u8> {
    entry(name, b'0', b"data")
}

/// A PAX record.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (1..).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
    format!("{} {key}={value}\n", length.expect("some length fits"))
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
    entry("PaxHeaders/x", b'x', text.as_bytes())
}

/// The end of an archive.
fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    gzip_at(Compression::fast(), tar)
}

fn gzip_at(level: Compression, tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(tar).expect("memory");
    encoder.finish().expect("memory")
}

/// A folder with a file beside the one that is unpacked into, which nothing may touch.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(place.scratch()).expect("a directory");
        fs::write(place.0.path().join("victim"), b"old").expect("a file");
        place
    }

    fn scratch(&self) -> std::path::PathBuf {
        self.0.path().join("scratch")
    }

    fn unpack(&self, bytes: &[u8], limits: Limits) -> Result<Unpacked, LoadError> {
        let path = self.0.path().join("model.tar.gz");
        fs::write(&path, bytes).expect("a file");
        unpack_within(&path, &self.scratch(), limits)
    }

    /// The names in a folder.
    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Asserts that nothing is left of an unpacking, and nothing came to lie elsewhere.
    fn assert_untouched(&self) {
        assert_eq!(Self::names(self.0.path()), ["model.tar.gz", "scratch", "victim"]);
        assert_eq!(fs::read(self.0.path().join("victim")).expect("the victim"), b"old");
        assert_eq!(Self::names(&self.scratch()), [] as [&str; 0]);
    }
}

/// Unpacks gzip-compressed parts, which must be refused with `entry` named and `reason` given.
#[track_caller]
fn check_parts(parts: &[Vec<u8>], entry: &str, reason: &str) {
    check(&gzip(&parts.concat()), Limits::default(), entry, reason);
}

#[track_caller]
fn check(archive: &[u8], limits: Limits, entry: &str, reason: &str) {
    let place = Place::new();
    match place.unpack(archive, limits) {
        Ok(unpacked) => panic!("expected a refusal of {entry}, unpacked {:?}", unpacked.members()),
        Err(LoadError::Archive { entry: found, reason: why }) => {
            assert_eq!(found, entry, "{why}");
            assert!(why.contains(reason), "expected {reason:?} in {why:?}");
        }
        Err(other) => panic!("expected a refusal of {entry}, found {other}"),
    }
    place.assert_untouched();
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let absolute = "expected a relative name, found an absolute one";
    for (name, reason) in [
        ("/etc/passwd", absolute),
        ("//etc/passwd", absolute),
        ("../victim", "without the part \"..\""),
        ("../scratch-evil/x", "without the part \"..\""),
        ("a/../../victim", "without the part \"..\""),
        ("./../victim", "without the part \"..\""),
        ("a/./b", "without the part \".\""),
        ("././b", "without the part \".\""),
        (".../b", "without the part \"...\""),
        (".//etc/passwd", "without empty parts"),
        ("a//b", "without empty parts"),
        ("a/", "without empty parts"),
        ("..\\victim", "one of Windows"),
        ("C:\\victim", "one of Windows"),
        ("C:victim", "one of Windows"),
        ("a\nb", "without control characters"),
    ] {
        check_parts(&[file("ok"), file(name), end()], name, reason);
    }
    check_parts(&[entry("../", b'5', b""), end()], "../", "without the part \"..\"");
    check_parts(&[header(b"a\xffb", b'0', 0).to_vec(), end()], "a\u{fffd}b", "expected a name in UTF-8");
    check_parts(&[header(b"", b'0', 0).to_vec(), end()], "", "without empty parts");
}

#[test]
fn a_sibling_of_the_directory_is_out_of_reach() {
    // The fresh directory's name is known in advance: it is numbered. Its sibling's begins the same.
    let name = format!("../artifact-{}-0-evil/x", std::process::id());
    check_parts(&[file(&name), end()], &name, "without the part \"..\"");
}

#[test]
fn prefixes_and_long_names_are_held_to_the_same_rules() {
    let mut block = header(b"victim", b'0', 0);
    block[345..347].copy_from_slice(b"..");
    seal(&mut block);
    check_parts(&[block.to_vec(), end()], "../victim", "without the part \"..\"");
    check_parts(
        &[entry("L", b'L', b"../victim\0"), file("ok"), end()],
        "../victim",
        "without the part \"..\"",
    );
    check_parts(&[pax(&[("path", "../victim")]), file("ok"), end()], "../victim", "without the part \"..\"");
    check_parts(&[pax(&[("path", "/etc/passwd")]), file("ok"), end()], "/etc/passwd", "an absolute one");
    check_parts(&[pax(&[("path", "a\0b")]), file("ok"), end()], "a\0b", "control characters");
    let long = "a".repeat(256);
    check_parts(
        &[entry("L", b'L', long.as_bytes()), file("ok"), end()],
        &long,
        "parts of at most 255 bytes, found 256",
    );
    let deep = "d/".repeat(40) + "x";
    check_parts(&[file(&deep), end()], &deep, "expected at most 16 parts, found 41");
    let wide = "d/".repeat(600) + "x";
    let shown = wide[..300].to_owned() + "…";
    check_parts(&[pax(&[("path", &wide)]), file("ok"), end()], &shown, "at most 1024 bytes, found 1201");
}

#[test]
fn whatever_is_no_file_and_no_directory_is_refused() {
    for (kind, reason) in [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a character device"),
        (b'4', "a block device"),
        (b'6', "a FIFO"),
        (b'7', "a contiguous file"),
        (b'K', "a long link name"),
        (b'M', "a part of a multi-volume archive"),
        (b'S', "a sparse file"),
        (b'V', "a volume label"),
        (b'Z', "an entry of unknown type"),
    ] {
        check_parts(&[file("ok"), entry("evil", kind, b""), end()], "evil", reason);
    }
}

#[test]
fn a_link_and_a_file_through_it_never_get_that_far() {
    let mut link = header(b"m", b'2', 0);
    link[157..159].copy_from_slice(b"..");
    seal(&mut link);
    check_parts(&[link.to_vec(), file("m/victim"), end()], "m", "a symbolic link");
}

#[test]
fn overrides_are_refused() {
    check_parts(&[pax(&[("linkpath", "../victim")]), file("ok"), end()], "model.tar.gz", "a PAX linkpath");
    check_parts(
        &[pax(&[("size", "5")]), file("ok"), end()],
        "ok",
        "expected a PAX size of 4 as in the header, found 5",
    );
    check_parts(&[pax(&[("size", "-1")]), file("ok"), end()], "model.tar.gz", "a decimal PAX size");
    check_parts(
        &[pax(&[("path", "a"), ("path", "b")]), file("ok"), end()],
        "model.tar.gz",
        "expected one PAX path, found two",
    );
    check_parts(
        &[pax(&[("GNU.sparse.major", "1")]), file("ok"), end()],
        "model.tar.gz",
        "found a sparse one",
    );
    check_parts(
        &[pax(&[("GNU.sparse.realsize", "9")]), file("ok"), end()],
        "model.tar.gz",
        "found a sparse one",
    );
    check_parts(
        &[pax(&[("mtime", "1")]), pax(&[("mtime", "1")]), file("ok"), end()],
        "model.tar.gz",
        "one PAX header, found two",
    );
    check_parts(
        &[entry("L", b'L', b"a\0"), entry("L", b'L', b"b\0"), file("ok"), end()],
        "model.tar.gz",
        "one long name, found two",
    );
    check_parts(
        &[entry("L", b'L', b"a\0"), pax(&[("path", "b")]), file("ok"), end()],
        "model.tar.gz",
        "GNU's and PAX's",
    );
    let global = entry("g", b'g', record("path", "../victim").as_bytes());
    check_parts(&[global, file("ok"), end()], "model.tar.gz", "a global PAX header without path and size");
    check_parts(
        &[pax(&[("path", "a")]), end()],
        "model.tar.gz",
        "expected an entry after its name, found the end",
    );
    for broken in
        ["8 path=a\n", "x path=a\n", "9 path=a\n9 path=", "4 a\n", "99999999999999999999 a=b\n", "3 =\n2"]
    {
        let parts = [entry("x", b'x', broken.as_bytes()), file("ok"), end()];
        check_parts(&parts, "model.tar.gz", "after this entry: expected a PAX record");
    }
    check_parts(
        &[header(b"x", b'x', 1 << 20).to_vec(), end()],
        "model.tar.gz",
        "at most 65536 bytes, found 1048576",
    );
}

#[test]
fn a_name_is_there_once() {
    let twice = "expected each name once, found it twice";
    check_parts(&[file("a"), file("a"), end()], "a", twice);
    check_parts(&[file("a"), file("./a"), end()], "./a", twice);
    check_parts(&[file("a"), entry("a/", b'5', b""), end()], "a/", twice);
    check_parts(&[entry("a/", b'5', b""), file("a"), end()], "a", twice);
    check_parts(&[entry("a/", b'5', b""), entry("a/", b'5', b""), end()], "a/", twice);
    check_parts(&[file("a/b"), file("a"), end()], "a", twice);
    check_parts(
        &[file("a"), file("a/b"), end()],
        "a/b",
        "expected \"a\" to be a directory, found it is a file",
    );
}

#[test]
fn case_is_significant() {
    let place = Place::new();
    let unpacked = place.unpack(&gzip(&[file("Model"), file("model"), end()].concat()), Limits::default());
    assert_eq!(unpacked.expect("an archive").members().len(), 2);
}

#[test]
fn headers_that_lie_are_refused() {
    let mut broken = file("a");
    broken[0] = b'b';
    check_parts(&[broken, end()], "model.tar.gz", "after this entry: expected a tar header of checksum");
    let mut block = header(b"a", b'0', 0);
    block[148..156].copy_from_slice(b"zzzzzzzz");
    check_parts(
        &[file("ok"), block.to_vec(), end()],
        "ok",
        "after this entry: expected a tar header, found no checksum",
    );
    for size in [
        &b"0000000000z\0"[..],
        b"            ",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"-0000000001\0",
    ] {
        let mut block = header(b"a", b'0', 0);
        block[124..136].copy_from_slice(size);
        seal(&mut block);
        check_parts(&[block.to_vec(), end()], "model.tar.gz", "size: expected an octal number");
    }
    let mut huge = header(b"a", b'0', 0);
    huge[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    seal(&mut huge);
    check_parts(&[huge.to_vec(), end()], "a", "expected 18446744073709551615 bytes, found 1024 and the end");
    check_parts(&[header(b"d/", b'5', 4).to_vec(), end()], "d/", "expected a directory of 0 bytes, found 4");
}

#[test]
fn truncation_is_refused_at_every_byte() {
    let tar = [file("first"), file("second"), end()].concat();
    let whole = gzip(&tar);
    let place = Place::new();
    for length in 0..whole.len() {
        assert!(place.unpack(&whole[..length], Limits::default()).is_err(), "gzip cut at {length}");
        place.assert_untouched();
    }
    for length in (0..tar.len()).step_by(64) {
        assert!(place.unpack(&gzip(&tar[..length]), Limits::default()).is_err(), "tar cut at {length}");
        assert!(place.unpack(&tar[..length], Limits::default()).is_err(), "plain tar cut at {length}");
        place.assert_untouched();
    }
    place.unpack(&whole, Limits::default()).expect("the whole archive");
    check(
        &gzip(&tar[..514]),
        Limits::default(),
        "first",
        "expected 4 bytes, found 2 and the end of the archive",
    );
    check(
        &gzip(&tar[..1024]),
        Limits::default(),
        "first",
        "expected more bytes, found the end of the archive",
    );
}

#[test]
fn nothing_may_follow_the_end() {
    let tar = [file("ok"), end()].concat();
    let mut after_gzip = gzip(&tar);
    after_gzip.extend_from_slice(&gzip(&file("evil")));
    check(&after_gzip, Limits::default(), "model.tar.gz", "after the gzip stream, found more bytes");
    let mut zeros = gzip(&tar);
    zeros.extend_from_slice(&[0; 512]);
    check(&zeros, Limits::default(), "model.tar.gz", "after the gzip stream, found more bytes");
    check_parts(
        &[tar.clone(), file("evil"), end()],
        "ok",
        "after the end of the tar archive, found more bytes",
    );
    check_parts(&[file("ok"), vec![0; 512], file("evil"), end()], "ok", "expected two blocks of zeros");
    // Tools pad with zeros to their record size.
    let place = Place::new();
    let padded = gzip(&[tar, vec![0; 9_000]].concat());
    assert_eq!(place.unpack(&padded, Limits::default()).expect("an archive").members().len(), 1);
}

#[test]
fn a_damaged_gzip_is_refused() {
    let whole = gzip(&[file("ok"), end()].concat());
    let mut wrong_sum = whole.clone();
    let sum = whole.len() - 8;
    wrong_sum[sum] ^= 1;
    let place = Place::new();
    assert!(place.unpack(&wrong_sum, Limits::default()).is_err());
    place.assert_untouched();
    check(
        b"PK\x03\x04 a zip",
        Limits::default(),
        "model.tar.gz",
        "expected a gzip-compressed tar, found a file that begins",
    );
    check(b"", Limits::default(), "model.tar.gz", "expected a gzip-compressed tar");
    check(&gzip(b"no tar at all"), Limits::default(), "model.tar.gz", "found the end of the archive");
    check(
        &gzip(&[b'x'; 2048]),
        Limits::default(),
        "model.tar.gz",
        "expected a tar header, found no checksum",
    );
}

#[test]
fn bombs_are_refused() {
    let limits = Limits { ratio_free_bytes: 1 << 20, ..Limits::default() };
    let bomb = gzip_at(Compression::best(), &[entry("zeros", b'0', &vec![0; 8 << 20]), end()].concat());
    check(&bomb, limits, "zeros", "at most 200 bytes unpacked for each byte of the archive");
    check(
        &bomb,
        Limits { unpacked_bytes_max: 1 << 20, ..limits },
        "zeros",
        "at most 1048576 bytes unpacked, found more",
    );
    check(
        &bomb,
        Limits { compressed_bytes_max: 1_000, ..limits },
        "model.tar.gz",
        "an archive of at most 1000 bytes, found more",
    );
    // Zeros after the end count, too.
    let tail = gzip_at(Compression::best(), &[file("ok"), vec![0; 8 << 20]].concat());
    check(&tail, limits, "ok", "at most 200 bytes unpacked for each byte of the archive");
}

#[test]
fn a_million_entries_are_refused_early() {
    // A thousandth of the million, against a hundredth of the limit: the disk is slow, the rule the same.
    assert_eq!(Limits::default().entries_max, 10_000);
    let limits = Limits { entries_max: 100, ratio_max: u64::MAX, ..Limits::default() };
    let flood = |entries: &mut dyn Iterator<Item = Vec<u8>>| gzip(&entries.flatten().collect::<Vec<_>>());
    let files = flood(&mut (0..1_000).map(|index| file(&format!("f{index}"))));
    check(&files, limits, "f99", "expected at most 100 entries, found more");
    let directories = flood(&mut (0..1_000).map(|index| entry(&format!("d{index}/"), b'5', b"")));
    check(&directories, limits, "d99/", "expected at most 100 entries, found more");
    // Folders that only stand in names count: seven here, with their file.
    let nested = flood(&mut (0..1_000).map(|index| file(&format!("{index}/d/d/d/d/d/f"))));
    check(&nested, limits, "14/d/d/d/d/d/f", "expected at most 100 files and folders, found more");
    // So do extended headers, although no entry ever follows.
    let globals = flood(&mut (0..1_000).map(|_| entry("g", b'g', record("comment", "x").as_bytes())));
    check(&globals, limits, "model.tar.gz", "expected at most 100 entries, found more");
}

#[test]
fn special_bits_are_dropped_and_old_files_stay() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let unpacked =
        place.unpack(&gzip(&[file("setuid"), end()].concat()), Limits::default()).expect("an archive");
    let mode = fs::metadata(unpacked.directory().join("setuid")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o7133, 0, "neither special bits, nor execution, nor writing by others");
    // A directory that an earlier process left under the next name is passed over, never written into.
    let left: Vec<_> = (0..64)
        .map(|index| place.scratch().join(format!("artifact-{}-{index}", std::process::id())))
        .collect();
    let made: Vec<_> = left.iter().filter(|path| fs::create_dir(path).is_ok()).collect();
    let again = place.unpack(&gzip(&[file("a"), end()].concat()), Limits::default()).expect("an archive");
    assert!(!left.contains(&again.directory().to_owned()));
    assert!(made.iter().all(|path| Place::names(path).is_empty()));
}

#[test]
fn ordinary_spellings_load() {
    let long = "folder/".repeat(10) + &"n".repeat(120);
    let place = Place::new();
    let parts = [
        entry("g", b'g', record("comment", "a commit").as_bytes()),
        entry("./", b'5', b""),
        file("./a"),
        entry("code/", b'5', b""),
        file("code/inference.py"),
        entry("implied/before", b'0', b""),
        entry("implied/", b'5', b""),
        entry("././@LongLink", b'L', (long.clone() + "\0").as_bytes()),
        entry("short", b'\0', b"long"),
        pax(&[("path", "größe.json"), ("mtime", "1.5"), ("SCHILY.xattr.user.x", "y"), ("size", "4")]),
        file("gr"),
        end(),
    ];
    for bytes in [gzip(&parts.concat()), parts.concat()] {
        // The plain form begins with a header that says ustar.
        let unpacked = place.unpack(&bytes, Limits::default()).expect("an ordinary archive");
        let names: Vec<_> = unpacked.members().iter().map(|member| member.name.clone()).collect();
        assert_eq!(names, ["a", "code/inference.py", "implied/before", &long, "größe.json"]);
        assert_eq!(fs::read(unpacked.directory().join(&long)).expect("the file"), b"long");
    }
}

#[test]
fn a_file_named_as_an_archive_is_never_a_model() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("model.tar.gz");
    fs::write(&path, b"{\"learner\": {}}").expect("a file");
    let error = Artifact::open(&path, &place.path().join("scratch")).expect_err("a refusal").to_string();
    assert!(error.contains("expected a gzip-compressed tar"), "{error}");
}

/// Archives that are nearly right, so that mutations reach deep.
fn seed() -> Vec<u8> {
    [
        entry("./", b'5', b""),
        file("./model.safetensors"),
        entry("L", b'L', b"a/long/name\0"),
        file("short"),
        pax(&[("path", "other"), ("mtime", "1.5")]),
        file("x"),
        end(),
    ]
    .concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is done to an archive, it unpacks inside its directory or is refused, and neither panics nor hangs.
    #[test]
    fn mutations_stay_inside(
        edits in prop::collection::vec((0usize..6_000, prop::sample::select(b"\0/.\\ 05Lxg=:A\x7f\x80\xff".to_vec())), 0..6),
        is_sealed in any::<bool>(),
        is_compressed in any::<bool>(),
        cut in prop::option::of(0usize..6_000),
    ) {
        let mut tar = seed();
        for (place, byte) in edits {
            let place = place % tar.len();
            tar[place] = byte;
            if is_sealed {
                let block = place / 512 * 512;
                let block: &mut [u8; 512] = (&mut tar[block..block + 512]).try_into().expect("a block");
                if block[257..262] == *b"ustar" {
                    seal(block);
                }
            }
        }
        if let Some(cut) = cut {
            tar.truncate(cut);
        }
        let bytes = if is_compressed { gzip(&tar) } else { tar };
        let place = Place::new();
        if let Ok(unpacked) = place.unpack(&bytes, Limits::default()) {
            for member in unpacked.members() {
                let path = unpacked.directory().join(&member.name).canonicalize().expect("the file is there");
                let root = unpacked.directory().canonicalize().expect("the directory is there");
                prop_assert!(path.starts_with(root));
            }
        }
        place.assert_untouched();
    }

    /// Noise after the gzip header is refused or harmless.
    #[test]
    fn gzip_noise_is_harmless(edits in prop::collection::vec((2usize..400, any::<u8>()), 1..8)) {
        let mut bytes = gzip(&seed());
        let length = bytes.len();
        for (place, byte) in edits {
            bytes[place % length] = byte;
        }
        let place = Place::new();
        drop(place.unpack(&bytes, Limits::default()));
        place.assert_untouched();
    }
}

#[test]
fn the_default_limits_take_an_ordinary_archive() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("m.tgz");
    fs::write(&path, gzip(&[file("ok"), end()].concat())).expect("a file");
    let unpacked = unpack(&path, &place.path().join("not/yet/there")).expect("an archive");
    assert_eq!(unpacked.members()[0].size_bytes, 4);
}
