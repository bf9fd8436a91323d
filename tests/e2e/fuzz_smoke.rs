//! The fuzz targets without a fuzzer: every function on its seeds and on seeded damage to them, the same on each
//! machine. `tests/fuzz/README.md` tells of the deep run.

use std::fs;
use std::path::Path;

use harness::forest::Forest;
use harness::mutate::mutate;
use harness::payload::Rows;
use harness::{artifacts, hostile};

#[expect(unreachable_pub, reason = "the functions are public in the crate that cargo-fuzz builds")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Damaged copies of each seed. Reason: some 50,000 inputs in all, a few seconds.
const MUTATIONS: u64 = 400;

/// As [`MUTATIONS`], for targets that write files.
const MUTATIONS_ON_DISK: u64 = 25;

/// Seeds larger than this are for the deep run alone. Reason: the time of one input.
const SEED_BYTES_MAX: usize = 32 << 10;

/// Model files of the golden corpus that end in `ending`, one a case of `version`.
fn golden(version: &str, ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/xgboost").join(version);
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let models = cases.iter().map(|case| case.join(format!("model.{ending}")));
    let seeds: Vec<Vec<u8>> = models.filter_map(|model| fs::read(model).ok()).collect();
    assert!(!seeds.is_empty(), "the corpus has {version} models in {ending}");
    seeds
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Requests that botocore signed, as text.
fn signed_requests() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/sigv4/botocore.json");
    let file: serde_json::Value = serde_json::from_reader(fs::File::open(path).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let cases = file["cases"].as_array().unwrap().iter().filter(|case| case["service"] == "s3");
    let requests = cases.step_by(3).map(|case| {
        let headers = case["headers"].as_array().unwrap().iter();
        let headers: String =
            headers.map(|pair| format!("{}:{}\n", text(&pair[0]), text(&pair[1]))).collect();
        let (method, path, query) = (text(&case["method"]), text(&case["path"]), text(&case["query"]));
        format!("{method} {path}?{query}\n{headers}\n{}", text(&case["body"])).into_bytes()
    });
    requests.collect()
}

/// The golden artifacts of the families, without digests, and files of MXNet.
fn families() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = |path: &str| {
        let entries = fs::read_dir(root.join(path)).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let ours = folders("golden/families").into_iter().map(|folder| {
        let text = fs::read_to_string(folder.join("manifest.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        manifest.as_object_mut().unwrap().remove("sha256");
        [manifest.to_string().as_bytes(), b"\n", &fs::read(folder.join("model.safetensors")).unwrap()]
            .concat()
    });
    let mxnet = folders("../models/tests/mxnet").into_iter();
    let mxnet = mxnet.map(|folder| [b"\n", &fs::read(folder.join("model_algo-1")).unwrap()[..]].concat());
    ours.chain(mxnet).collect()
}

/// What each target starts from.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let rows = Rows::draw(3, 4, 1);
    let written =
        |content_type: &str| vec![rows.write(content_type), Rows::draw(2, 3, 2).write(content_type)];
    match target {
        "aws_chunked" => [
            (0, 11, "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"),
            (0, 0, "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"),
            (1, 5, &format!("5;chunk-signature={0}\r\nhello\r\n0;chunk-signature={0}\r\n\r\n", "a".repeat(64))),
            (2, 0, &format!("0;chunk-signature={0}\r\nx-amz-checksum-crc32:A\r\nx-amz-trailer-signature:{0}\r\n\r\n", "b".repeat(64))),
        ]
        .map(|(kind, declared, body): (u8, u8, &str)| [&[declared * 3 + kind], body.as_bytes()].concat())
        .to_vec(),
        "credentials" => texts(&[
            r#"{"keys":[{"access_key_id":"AKIDEXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG","session_token":"t",
                "allow":{"actions":["*"],"endpoints":["a-*"],"buckets":[]},"requests_per_second":5,
                "requests_per_second_per_variant":0.5}],"regions":["us-east-1"]}"#,
            r#"{"bearer_tokens":[{"name":"a","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "allow":{"actions":["sagemaker:InvokeEndpoint"]}}],"certificates":[{"name":"b","allow":{"actions":[]}}]}"#,
        ]),
        "call_shape" => texts(&[
            "sagemaker.CreateEndpointConfig\n{\"EndpointConfigName\":\"a-1\",\"ProductionVariants\":[{\"VariantName\":\"v\",\"ModelName\":\"m\",\"InitialInstanceCount\":1,\"InstanceType\":\"ml.m5.large\",\"InitialVariantWeight\":0.5}]}",
            "sagemaker.CreateModel\n{\"ModelName\":\"-\",\"PrimaryContainer\":{\"Environment\":{\"a b\":\"c\"}}}",
            "logs.GetLogEvents\n{\"logGroupName\":\"g\",\"logStreamName\":\"s\",\"limit\":0}",
            "application-autoscaling.PutScalingPolicy\n{\"PolicyName\":7}",
        ]),
        "event_message" => [Some("text/csv"), None]
            .map(|kind| {
                let mut message = Vec::new();
                let headers = [(":message-type", "event"), (":event-type", kind.unwrap_or(""))];
                wire::event_stream::write(&headers, b"1,2,3\n", &mut message);
                message
            })
            .to_vec(),
        "query_form" => texts(&[
            "Action=GetMetricStatistics&Version=2010-08-01&Namespace=AWS%2FSageMaker&Period=60&Statistics.member.1=Sum&Dimensions.member.1.Name=a&Dimensions.member.1.Value=b&StartTime=2024-01-02T03%3A04%3A05Z",
            "Action=SimulatePrincipalPolicy&Version=2010-05-08&ActionNames.member.2=a&ActionNames.member.1=b",
            "Action=X&a.entry.1.key=b&a.entry.1.value=c+d&a=",
        ]),
        "signature" => signed_requests(),
        "csv" => [
            written("text/csv"),
            texts(&["\"1\",\"2.5e3\",-0.0\r\n,nan,.5", "a,b,c\n1,2,3\n", "1, 2\t,3\n\n", "\u{feff}1,2,3", "1e38,-1e-45,3\n"]),
        ]
        .concat(),
        "json" => [
            written("application/json"),
            written("application/json;charset=utf-8"),
            texts(&[
                "[[1,2,3],[4,5,6]]",
                "[1,2,3]",
                "{\"instances\":[[1,null,3,4],{\"features\":[1,2,3,4]}],\"x\":{\"y\":[\"\\u00e9\\ud83d\\ude00\",true]}}",
                "{\"instances\":[{\"data\":{\"features\":{\"values\":[1,2,3]}},\"configuration\":{}}]}",
            ]),
        ]
        .concat(),
        "json_lines" => [
            written("application/jsonlines"),
            texts(&["[1,2,3]\n[4,5,6]", "{\"data\":{\"features\":{\"keys\":[0,2],\"shape\":[4],\"values\":[1,-1]}}}\n"]),
        ]
        .concat(),
        "json_path" => texts(&[
            "$.a['b'][0,-1]",
            "$['a','b'].a",
            "$[ 0 , 2: ,:-1]",
            "$.*[-1].a",
            "$[\"a_b\"]",
            "$[2:5]",
            "$..a",
            "$[?(@.a)]",
        ]),
        "processing" => texts(&[
            "\0$[0,-1]\na,\"b,\"\"c\",2\n0.5\n",
            "\u{60}$[1:]\n1,2\n0.1\n0.2",
            "\0$\n 1,2\n\"[0.1, 0.9]\"\n",
            "\u{1}$['a','SageMakerOutput']\n{\"a\":[1.50,{}],\"b\":\"\\u00e9\"}\n{\"score\": 0.9}\n",
            "\u{31}$\n[]\n{\"predictions\": [{\"SageMakerInferenceId\": 1}]}",
            "\u{2}$.SageMakerOutput\n{\"SageMakerOutput\":1}\n[1,2]\n",
            "\u{62}$[*]\n[1]\n{\"a\":1}\n{\"b\":2}\n",
        ]),
        "libsvm" => [written("text/libsvm"), texts(&["1:0.5 3:1\n# words\n\n-1:2 2:1e3 # end", "1 qid:3 1:1", "2:1 1:2"])].concat(),
        "recordio" => [written("application/x-recordio-protobuf"), vec![harness::payload::frame(b"")]].concat(),
        "family" => families(),
        "framing" | "batches" => [
            written("application/x-recordio-protobuf"),
            written("text/csv"),
            vec![[&[5, 0, 0, 0, 0, 0, 0, 0, 0xea, 0xb2, 0x04, 0x3e][..], b"hello", &[0; 4]].concat()],
        ]
        .concat(),
        "gunzip" => vec![
            hostile::gzip(&rows.write("text/csv")),
            [hostile::gzip(b"1,2\n"), hostile::gzip(b""), hostile::gzip(b"3,4")].concat(),
            hostile::gzip(&vec![b'0'; 1 << 19]),
        ],
        "content_encoding" => vec![
            hostile::gzip(&rows.write("text/csv")),
            hostile::gzip(&vec![b'0'; 1 << 17]),
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, b'1', b',', b'2'],
            vec![0x20, 0, 0x10, b'1', b',', b'2', 3],
            vec![0x78, 0x9c, 0x33, 0xd4, 0x31, 0x02, 0, 0, 0xf5, 0, 0x91],
        ],
        "content_type" => texts(&[
            "text/csv; label_size=1; header=present; charset=utf-8",
            "application/json;q=0.5, */*;q=0.1, application/x-recordio-protobuf",
            "application/json; verbose=true",
            "gzip, identity",
            "text/csv;charset=\"utf-8\"",
        ]),
        "xgboost_json" => [golden("1.5.2", "json"), golden("3.2.0", "json"), vec![Forest::SMALL.to_json()]].concat(),
        "xgboost_ubjson" => [golden("2.1.4", "ubj"), golden("3.4.1", "ubj")].concat(),
        "xgboost_binary" => [golden("0.90", "bin"), golden("2.1.4", "bin")].concat(),
        "xgboost_pickle" => [golden("1.2.1", "pkl"), golden("2.1.4", "pkl")].concat(),
        "archive" => {
            let mut seeds: Vec<_> = hostile::archives(b"{}").into_iter().map(|(_, bytes)| bytes).collect();
            seeds.push(artifacts::kmeans(&[0.0, 1.0], 1));
            seeds.push(hostile::tar(&[hostile::Entry::file("xgboost-model", b"{}")]));
            seeds
        }
        "manifest" => texts(&[
            "{\"format\":\"xgboost/1\",\"algorithm\":\"xgboost\",\"feature_dim\":2,\"features\":[\"a\",\"b\"],\"missing\":null,\
             \"warm_up\":[[1,null]],\"libsvm_index_base\":1,\"csv_header\":\"skip\",\"narrow_rows\":\"missing\"}",
            "{\"algorithm\":\"linear-learner\",\"predictor_type\":\"binary_classifier\",\"threshold\":0.5,\"new_key\":[{}]}",
            "{\"algorithm\":\"kmeans\",\"k\":3,\"sha256\":{},\"hyperparameters\":{\"k\":\"3\"},\"missing\":-1}",
        ]),
        "manifest_input" => texts(&[
            "[{\"prefix\":\"s3://bucket/in/\"},\"a.csv\",\"b/c.csv\",\"a.csv\"]",
            "[{\"prefix\": \"s3://bucket\"},\n\"\\u00fc+ %20\"]\n",
        ]),
        _ => panic!("{target} has no seeds"),
    }
}

/// Runs one target; a panic is reported with the input that made it.
fn run(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let mutations = if ["archive", "family"].contains(&name) { MUTATIONS_ON_DISK } else { MUTATIONS };
    let mut random = fastrand::Rng::with_seed(1);
    for seed in seeds(name).iter().filter(|seed| seed.len() <= SEED_BYTES_MAX) {
        target(seed);
        for _ in 0..mutations.min(1 + (mutations << 11) / (seed.len() as u64 + 1)) {
            let input = mutate(seed, &mut random);
            if let Err(panic) = std::panic::catch_unwind(|| target(&input)) {
                let folder = tempfile::tempdir().unwrap().keep();
                let path = folder.join(name);
                fs::write(&path, &input).unwrap();
                eprintln!("{name} panics on the {} bytes in {}", input.len(), path.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

macro_rules! smoke {
    ($($name:ident),+) => {
        $(#[test] fn $name() { run(stringify!($name)); })+

        #[test]
        fn every_target_has_its_smoke_run() {
            let names: Vec<_> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

smoke!(
    archive,
    aws_chunked,
    batches,
    call_shape,
    content_encoding,
    content_type,
    credentials,
    csv,
    event_message,
    family,
    framing,
    gunzip,
    json,
    json_lines,
    json_path,
    libsvm,
    manifest,
    manifest_input,
    processing,
    query_form,
    recordio,
    signature,
    xgboost_binary,
    xgboost_json,
    xgboost_pickle,
    xgboost_ubjson
);

/// Writes the seeds where the deep run takes them from.
#[test]
fn fuzz_seeds() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("fuzz-seeds");
    for (name, _) in targets::TARGETS {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (index, seed) in seeds(name).iter().enumerate() {
            fs::write(folder.join(format!("{index:03}")), seed).unwrap();
        }
        assert!(fs::read_dir(&folder).unwrap().count() > 0);
    }
}
