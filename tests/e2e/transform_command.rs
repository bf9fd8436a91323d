//! `clary transform` as a program: places, streams, shards, runs that go on, exit codes and reports.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use harness::hostile::gzip;
use harness::http::ANSWER_TIMEOUT;
use harness::programs::program;
use harness::{Oracle, artifacts};
use serde_json::Value;

use crate::files;

/// Flags of a transform from lines to lines.
const LINES: [&str; 8] =
    ["--content-type", "text/csv", "--accept", "text/csv", "--split-type", "Line", "--assemble-with", "Line"];

/// A model and a place for inputs and outputs.
struct Stage {
    folder: tempfile::TempDir,
    oracle: Oracle,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = artifacts::kmeans(&[0.0, 0.0, 3.0, 4.0], 2);
        fs::write(folder.path().join("model.tar.gz"), &model).unwrap();
        Self { folder, oracle: Oracle::of_bytes(&model) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The program, to be run in the stage's folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("clary"));
        command.env_clear().current_dir(self.folder.path()).arg("transform").args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&[&["--model", "model.tar.gz"], arguments].concat()).output().unwrap()
    }

    /// Runs it from `input` to `output`, lines to lines; what it said.
    fn lines(&self, input: &str, output: &str, more: &[&str]) -> Output {
        self.run(&[&["--input", input, "--output", output], &LINES[..], more].concat())
    }

    #[track_caller]
    fn succeed(&self, input: &str, output: &str, more: &[&str]) {
        let ended = self.lines(input, output, more);
        assert!(ended.status.success(), "{:?}: {}", ended.status, text(&ended.stderr));
    }

    /// What an endpoint answers to these lines.
    fn answer(&self, rows: &str) -> Vec<u8> {
        self.oracle.answer("text/csv", rows.as_bytes(), "text/csv")
    }

    fn report(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rows(count: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| format!("{},{}\n", random.u8(..), random.u8(..))).collect()
}

#[test]
fn a_directory_is_transformed_and_nothing_else_is_left() {
    let stage = Stage::new();
    let inputs =
        [("a.csv", rows(10, 1)), ("sub/b c+%.csv", rows(20, 2)), ("sub/deep/empty.csv", String::new())];
    for (name, rows) in &inputs {
        stage.write(&format!("in/{name}"), rows);
    }
    stage.succeed("in", "out", &["--report", "report.json"]);
    let expected = inputs.iter().map(|(name, rows)| (format!("{name}.out"), stage.answer(rows))).collect();
    assert_eq!(files(&stage.path("out")), expected);
    assert_eq!(fs::read_dir(stage.path("out")).unwrap().count(), 2, "no folder of the job is left");
    let report = stage.report("report.json");
    assert_eq!((&report["outcome"], &report["records"]), (&"Completed".into(), &30.into()));
    assert_eq!(report["objects"], serde_json::json!({"found": 3, "done": 3, "skipped": 0, "failed": 0}));
    assert_eq!((&report["refused"], &report["calls"], &report["retries"]), (&0.into(), &2.into(), &0.into()));
    let bytes = |of: &str| report[of].as_u64().unwrap() as usize;
    let read: usize = inputs.iter().map(|(_, rows)| rows.len()).sum();
    let written: usize = files(&stage.path("out")).values().map(Vec::len).sum();
    assert_eq!((bytes("bytes_read"), bytes("bytes_written")), (read, written));
    assert_eq!(report["request"]["model_digest"], stage.oracle.digest());
    assert!(report["job"].as_str().unwrap().starts_with("transform-"));
}

#[test]
fn a_file_is_transformed_without_its_neighbours() {
    let stage = Stage::new();
    stage.write("in/x.csv", rows(5, 1));
    stage.write("in/x.csv.bak", "no rows");
    stage.succeed("in/x.csv", "out", &[]);
    stage.succeed(&format!("file://{}", stage.path("in/x.csv").display()), "in/beside", &[]);
    let expected = [("x.csv.out".to_owned(), stage.answer(&rows(5, 1)))].into();
    assert_eq!(files(&stage.path("out")), expected);
    assert_eq!(files(&stage.path("in/beside")), expected);
    let printed = stage.lines("in/x.csv", "-", &[]);
    assert_eq!(text(&printed.stdout), text(&stage.answer(&rows(5, 1))));
}

#[test]
fn packed_inputs_are_unpacked() {
    let stage = Stage::new();
    stage.write("in/x.csv.gz", gzip(rows(1000, 1).as_bytes()));
    stage.succeed("in", "out", &["--compression", "gzip"]);
    let found = fs::read(stage.path("out/x.csv.gz.out")).unwrap();
    assert_eq!(found, stage.answer(&rows(1000, 1)));
    let printed = stage.lines("in/x.csv.gz", "-", &["--compression", "Gzip"]);
    assert_eq!(printed.stdout, found);
}

/// A stream that is open at both ends.
struct Stream {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Stream {
    fn open(stage: &Stage, more: &[&str]) -> Self {
        let flags = ["--model", "model.tar.gz", "--input", "-", "--output", "-", "--accept", "text/csv"];
        let mut command = stage.command(&[&flags[..], more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                sender.send(line.unwrap()).unwrap();
            }
        });
        Self { child, lines }
    }

    /// Sends a line and waits for its answer.
    #[track_caller]
    fn ask(&mut self, line: &str, expected: &str) {
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        assert_eq!(self.lines.recv_timeout(ANSWER_TIMEOUT).expect("an answer before more is sent"), expected);
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// The exit code, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        // Waiting would close it, and so end the stream.
        let _open = self.child.stdin.take();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), None);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

#[test]
fn a_line_is_answered_before_the_next_is_sent() {
    let stage = Stage::new();
    for more in [&[][..], &["--batch-strategy", "SingleRecord"]] {
        let mut stream = Stream::open(&stage, more);
        stream.ask("3,3\n", "1.0,1.0");
        stream.ask("0,0\n", "0.0,0.0");
        stream.ask("3,4\n", "1.0,0.0");
        drop(stream.child.stdin.take());
        let (code, said) = stream.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("completed: 3 records"), "{said}");
    }
}

#[test]
fn a_bad_line_of_a_stream_is_what_the_policy_says() {
    let stage = Stage::new();
    let mut stream = Stream::open(&stage, &[]);
    stream.ask("3,3\n", "1.0,1.0");
    stream.child.stdin.as_mut().unwrap().write_all(b"3,x\n").unwrap();
    let (code, said) = stream.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("record 2 at byte 4: status 400"), "{said}");
    let mut stream = Stream::open(&stage, &["--error-policy", "placeholder"]);
    stream.ask("3,x\n", "ERROR");
    stream.ask("3,3\n", "1.0,1.0");
    drop(stream.child.stdin.take());
    assert_eq!(stream.end().0, Some(0));
    let mut stream = Stream::open(&stage, &["--error-policy", "quarantine", "--failures", "failures.jsonl"]);
    stream.child.stdin.as_mut().unwrap().write_all(b"3,x\n").unwrap();
    stream.ask("0,0\n", "0.0,0.0");
    drop(stream.child.stdin.take());
    assert_eq!(stream.end().0, Some(0));
    let line: Value =
        serde_json::from_str(&fs::read_to_string(stage.path("failures.jsonl")).unwrap()).unwrap();
    assert_eq!((&line["text"], &line["record"], &line["byte"]), (&"3,x\n".into(), &1.into(), &0.into()));
    assert_eq!((&line["status"], &line["object"]), (&400.into(), &"standard input".into()));
}

/// Every line of the input has a line of the output or one among the rejected, blank ones too: the model passes over those.
#[test]
fn no_line_is_lost_under_a_policy_to_go_on() {
    let stage = Stage::new();
    let check = |content_type: &str, input: &str, expected: &[usize]| {
        stage.write("in/x", input);
        for strategy in ["MultiRecord", "SingleRecord"] {
            let flags =
                ["--content-type", content_type, "--accept", content_type, "--batch-strategy", strategy];
            let run = |output: &str, policy: &str| {
                let policy = ["--overwrite", "--error-policy", policy];
                let places = [
                    "--input",
                    "in/x",
                    "--output",
                    output,
                    "--split-type",
                    "Line",
                    "--assemble-with",
                    "Line",
                ];
                let ended = stage.run(&[&places[..], &flags, &policy].concat());
                assert!(ended.status.success(), "{}", text(&ended.stderr));
            };
            let is_refused = |line: &str| line == "ERROR" || line.starts_with("{\"error\":");
            run("placed", "placeholder");
            let placed = fs::read_to_string(stage.path("placed/x.out")).unwrap();
            assert_eq!(placed.lines().count(), input.lines().count(), "{placed}");
            let refused = (0..).zip(placed.lines()).filter(|(_, line)| is_refused(line)).map(|(at, _)| at);
            assert_eq!(refused.collect::<Vec<usize>>(), expected, "{placed}");
            run("aside", "quarantine");
            let answered = fs::read_to_string(stage.path("aside/x.out")).unwrap();
            let kept: Vec<&str> = placed.lines().filter(|line| !is_refused(line)).collect();
            assert_eq!(answered.lines().collect::<Vec<_>>(), kept);
            let rejected = fs::read_to_string(stage.path("aside/x.rejected.jsonl")).unwrap();
            let rejected: Vec<Value> =
                rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            // Where an independent reader finds them.
            let lines: Vec<&str> = input.split_inclusive('\n').collect();
            let told = |at: &usize| {
                let byte: usize = lines[..*at].iter().map(|line| line.len()).sum();
                (byte as u64, *at as u64 + 1, lines[*at].to_owned())
            };
            let found = rejected.iter().map(|line| {
                let number = |name: &str| line[name].as_u64().unwrap();
                (number("byte"), number("record"), line["text"].as_str().unwrap().to_owned())
            });
            assert_eq!(found.collect::<Vec<_>>(), expected.iter().map(told).collect::<Vec<_>>());
        }
    };
    check("text/csv", "x,y\n3,3\nbad\n0,0\n\n1,2,3\n3,4\r\nlast,1", &[0, 2, 4, 5, 7]);
    check("text/csv", "\n\nx\n", &[0, 1, 2]);
    let lines = "{\"features\":[3,3]}\n\n{\"features\":[1,\"x\"]}\nno json\n[3,4]\n";
    check("application/jsonlines", lines, &[1, 2, 3]);
}

/// What is wrong with a flag is told before the work, not behind it.
#[test]
fn files_that_cannot_be_written_are_known_at_once() {
    let stage = Stage::new();
    stage.write("in/a.csv", rows(1, 1));
    for (flag, file) in
        [("--report", "nowhere/r.json"), ("--report", "in"), ("--failures", "nowhere/f.jsonl")]
    {
        let ended = stage.lines("in", "out", &[flag, file]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{flag} {file}")), "{said}");
        assert!(!stage.path("out").exists(), "{said}");
    }
}

#[test]
fn who_reads_no_more_ends_a_stream_and_a_signal_does() {
    let stage = Stage::new();
    stage.write("rows.csv", rows(100_000, 1));
    let places = ["--model", "model.tar.gz", "--input", "rows.csv", "--output", "-"];
    let refused = stage.command(&places).output().unwrap();
    assert_eq!(refused.status.code(), Some(64), "its answers are documents, unless lines are asked for");
    assert!(text(&refused.stderr).contains("text/csv"), "{}", text(&refused.stderr));
    let mut command = stage.command(&[&places[..], &["--accept", "text/csv"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    for (name, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut stream = Stream::open(&stage, &[]);
        stream.ask("3,3\n", "1.0,1.0");
        stream.signal(name);
        let (found, said) = stream.end();
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains("stopped: 1 records"), "{said}");
    }
}

#[test]
fn shards_merged_are_what_one_run_writes() {
    let stage = Stage::new();
    for (name, count) in
        [("large.csv", 170_000), ("a.csv", 10), ("b.csv", 20), ("c/d.csv", 30), ("empty.csv", 0)]
    {
        stage.write(&format!("in/{name}"), rows(count, count as u64));
    }
    stage.succeed("in", "whole", &[]);
    let expected = files(&stage.path("whole"));
    for count in 1..=4 {
        let output = format!("out-{count}");
        for index in 0..count {
            let shard = format!("{index}/{count}");
            let merged = stage.lines("in", &output, &["--range-mb", "1", "--merge"]);
            assert_eq!(merged.status.code(), Some(1), "it is not complete yet");
            stage.succeed("in", &output, &["--range-mb", "1", "--shard", &shard]);
            // Again, as a platform does that lost a node: nothing is left to do.
            stage.succeed("in", &output, &["--range-mb", "1", "--shard", &shard, "--report", "again.json"]);
            let objects = &stage.report("again.json")["objects"];
            assert_eq!((&objects["done"], &objects["failed"]), (&objects["skipped"], &0.into()));
        }
        stage.succeed("in", &output, &["--merge", "--report", "merge.json"]);
        assert!(files(&stage.path(&output)) == expected, "{count} shards");
        assert_eq!(stage.report("merge.json")["objects"]["done"], 5);
        assert_eq!(fs::read_dir(stage.path(&output)).unwrap().count(), 5, "no folder of the job is left");
    }
}

#[test]
fn a_merge_says_what_is_missing() {
    let stage = Stage::new();
    (0..8).for_each(|number| stage.write(&format!("in/{number}.csv"), rows(10, number)));
    let merge = |expected: &str| {
        let ended = stage.lines("in", "out", &["--merge"]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    merge("expected shards to merge, found none");
    stage.succeed("in", "out", &["--shard", "1/3"]);
    merge("found that these are not: 0, 2");
    let other = stage.lines("in", "out", &["--shard", "0/2"]);
    assert!(text(&other.stderr).contains("expected 3 shards"), "{}", text(&other.stderr));
    for index in [0, 2] {
        // The index as Kubernetes gives it.
        let mut command = stage.command(&["--model", "model.tar.gz", "--input", "in", "--output", "out"]);
        command.args(LINES).env("CLARY_SHARD", "auto/3").env("JOB_COMPLETION_INDEX", index.to_string());
        assert!(command.status().unwrap().success());
    }
    stage.write("in/new.csv", rows(1, 1));
    merge("new.csv: expected a shard to have finished it");
    fs::remove_file(stage.path("in/new.csv")).unwrap();
    fs::remove_file(stage.path("out/5.csv.out")).unwrap();
    merge("expected the output 5.csv.out, found none");
    (0..3).for_each(|index| stage.succeed("in", "out", &["--shard", &format!("{index}/3")]));
    fs::write(stage.path("out/5.csv.out"), "short").unwrap();
    merge("5.csv.out: expected ");
    (0..3).for_each(|index| stage.succeed("in", "out", &["--shard", &format!("{index}/3")]));
    stage.succeed("in", "out", &["--merge"]);
    assert_eq!(files(&stage.path("out")).len(), 8);
}

#[test]
fn what_failed_is_told_and_a_later_run_does_the_rest() {
    let stage = Stage::new();
    stage.write("in/good.csv", rows(10, 1));
    stage.write("in/bad.csv", "3,3\n3,x\n");
    let flags = ["--report", "report.json", "--failures", "failures.jsonl"];
    let ended = stage.lines("in", "out", &flags);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        text(&ended.stderr).contains("bad.csv: record 2 at byte 4: status 400"),
        "{}",
        text(&ended.stderr)
    );
    let good = ("good.csv.out".to_owned(), stage.answer(&rows(10, 1)));
    let outputs = |stage: &Stage| {
        let mut found = files(&stage.path("out"));
        found.retain(|name, _| !name.starts_with("_clary/"));
        found
    };
    assert_eq!(outputs(&stage), [good.clone()].into());
    let report = stage.report("report.json");
    assert_eq!((&report["outcome"], &report["objects"]["failed"]), (&"Failed".into(), &1.into()));
    assert_eq!(report["failures"][0]["record"], 2);
    let line: Value =
        serde_json::from_str(&fs::read_to_string(stage.path("failures.jsonl")).unwrap()).unwrap();
    assert_eq!(line, report["failures"][0]);
    stage.write("in/bad.csv", "3,3\n");
    stage.succeed("in", "out", &flags);
    assert_eq!(stage.report("report.json")["objects"]["skipped"], 1);
    assert_eq!(files(&stage.path("out")), [("bad.csv.out".to_owned(), stage.answer("3,3\n")), good].into());
}

#[test]
fn a_killed_run_is_gone_on_with_and_one_of_other_settings_is_not() {
    let stage = Stage::new();
    (0..40).for_each(|number| stage.write(&format!("in/{number}.csv"), rows(2_000, number)));
    let flags =
        [&["--model", "model.tar.gz", "--input", "in", "--output", "out", "--job", "j"], &LINES[..]].concat();
    let mut child = stage.command(&flags).stderr(Stdio::null()).spawn().unwrap();
    // Killed when some outputs stand and most do not.
    let deadline = std::time::Instant::now() + ANSWER_TIMEOUT;
    while count_outputs(&stage.path("out")) < 3 && child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if stage.path("out/_clary/j").exists() {
        let other = stage.lines("in", "out", &["--job", "j", "--batch-strategy", "SingleRecord"]);
        assert_eq!(other.status.code(), Some(1));
        assert!(text(&other.stderr).contains("same model and settings"), "{}", text(&other.stderr));
    }
    stage.succeed("in", "out", &["--job", "j", "--report", "report.json"]);
    let expected = (0..40).map(|number| (format!("{number}.csv.out"), stage.answer(&rows(2_000, number))));
    assert!(files(&stage.path("out")) == expected.collect());
    assert_eq!(stage.report("report.json")["objects"]["done"], 40);
}

fn count_outputs(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".csv.out")).count()
}

#[test]
fn ids_are_the_same_in_every_run_of_a_job() {
    let stage = Stage::new();
    stage.write("in/a.csv", rows(3, 1));
    stage.write("in/b.csv", "x,x\n");
    let flags = ["--generate-inference-id", "--job", "j"];
    assert_eq!(stage.lines("in", "out", &flags).status.code(), Some(1));
    let first = text(&fs::read(stage.path("out/a.csv.out")).unwrap());
    fs::remove_file(stage.path("out/_clary/j/journal.jsonl")).unwrap();
    assert_eq!(stage.lines("in", "out", &flags).status.code(), Some(1));
    assert_eq!(text(&fs::read(stage.path("out/a.csv.out")).unwrap()), first);
    let fields: Vec<&str> = first.lines().next().unwrap().split(',').collect();
    assert_eq!((fields.len(), fields[2].len()), (4, 36), "{first}");
    assert!(fields[3].ends_with('Z'), "{first}");
}

#[test]
fn wrong_usage_is_64_and_what_cannot_be_done_is_1() {
    let stage = Stage::new();
    stage.write("in/a.csv", rows(1, 1));
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let ended = stage.command(arguments).output().unwrap();
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    };
    let with = |more: &[&'static str]| {
        [&["--model", "model.tar.gz", "--input", "in", "--output", "out"], more].concat()
    };
    check(&["--input", "in", "--output", "out"], 64, "--model: expected");
    check(&with(&["--split-type", "Lines"]), 64, "expected None or Line");
    check(&with(&["--shard", "2/2"]), 64, "expected i/n");
    check(&with(&["--shard", "1/0"]), 64, "expected i/n");
    check(&with(&["--split-typ", "Line"]), 64, "clary transform: expected its flags like --split-type");
    check(&with(&["--max-payload-mb", "101"]), 64, "MaxPayloadInMB");
    check(&with(&["--max-payload-mb", "20", "--max-concurrent-transforms", "6"]), 64, "at most 100");
    check(&[&with(&["--output-filter", "$.a"])[..], &LINES].concat(), 64, "OutputFilter");
    check(&with(&["--accept", "image/png"]), 64, "--accept");
    check(&with(&["--content-type", "image/png"]), 64, "--content-type");
    check(&["--model", "none", "--input", "in", "--output", "out"], 1, "none");
    check(&["--model", "model.tar.gz", "--input", "nowhere", "--output", "out"], 1, "nowhere");
    check(&["--model", "model.tar.gz", "--input", "in", "--output", "in/out"], 1, "outside of the input");
    check(&["--model", "model.tar.gz", "--input", "in", "--output", "in/a.csv"], 1, "in/a.csv");
    stage.write("none/readme/.keep", "");
    fs::remove_file(stage.path("none/readme/.keep")).unwrap();
    check(&["--model", "model.tar.gz", "--input", "none/readme", "--output", "out"], 1, "no objects");
    let help = stage.command(&["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    for expected in ["CLARY_MAX_PAYLOAD_MB", "Usage: clary transform --model", "Exit codes:"] {
        assert!(text(&help.stdout).contains(expected), "{}", text(&help.stdout));
    }
}
