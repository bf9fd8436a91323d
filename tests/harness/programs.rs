//! The programs under test, as cargo builds them beside the test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the built programs: `target/<profile>`. Builds `clary` and `clary-loadtest` first, once a process:
/// cargo builds no programs of other packages for a test, and a stale one would be tested in silence.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = given() {
            return folder;
        }
        // target/<profile>/deps/<this test>
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap().to_owned();
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            // Cargo calls the folder of its `dev` profile `debug`, and that of `bench` (what is shipped, with symbols)
            // `release`.
            Some("debug") => "dev",
            _ => "bench",
        };
        let built = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--profile", profile])
            .args(["--package", "server", "--package", "loadtest", "--bins"])
            .status()
            .unwrap();
        assert!(built.success(), "the programs under test do not build");
        folder
    })
}

/// The folder that the tester names: programs as they are installed, built elsewhere or before.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn given() -> Option<PathBuf> {
    std::env::var_os("CLARY_PROGRAMS").map(PathBuf::from)
}

/// The path of `clary` or `clary-loadtest`.
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.exists(), "{} is not there", path.display());
    path
}
