//! The lists of what was read and written.

use super::*;

#[test]
fn lists_of_inputs_and_outputs() {
    in_no_time(async {
        let mut bench = Bench::new(&[("in/a", b"ab\n"), ("in/b", b"bad\n")], lines()).await;
        bench.capture = Some(Capture {
            store: bench.store.clone(),
            prefix: Path::parse("captured").unwrap(),
            hour: "2026/01/02/03".to_owned(),
            input_uri: "s3://bucket/".to_owned(),
            output_uri: "s3://other/".to_owned(),
        });
        bench.run().await;
        let captured = objects(&bench.store, "captured").await;
        let captured: Vec<(&str, &str)> =
            captured.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        assert_eq!(
            captured,
            [
                ("input/2026/01/02/03/job-00001.json", r#"[{"prefix":"s3://bucket/"},"in/a","in/b"]"#),
                ("output/2026/01/02/03/job-00001.json", r#"[{"prefix":"s3://other/"},"out/a.out"]"#),
            ]
        );
    });
}
