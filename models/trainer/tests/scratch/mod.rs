//! A scratch folder that `clary-train` is started in, the rows it is given, and what is asked of its output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes when the test ends.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program, to be started in the folder.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clary-train"));
        command.current_dir(self.folder()).args(arguments);
        command
    }
}

/// `rows` rows of a label and three features: the label is whether x0 + x1 is above 1, the third is noise.
pub(crate) fn labelled_csv(rows: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut line = || {
        let [a, b, c] = [random.f32(), random.f32(), random.f32()];
        format!("{},{a},{b},{c}\n", u8::from(a + b > 1.0))
    };
    (0..rows).map(|_| line()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it said, if it ended well.
#[track_caller]
pub(crate) fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// It ended with `code` and said `expected`.
#[track_caller]
pub(crate) fn fail(output: &Output, code: i32, expected: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{expected:?} is not in {said:?}");
}
