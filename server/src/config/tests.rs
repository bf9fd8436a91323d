//! Precedence, units and refusals, with the environment as a value.

use super::values::{millis, seconds};
use super::*;

fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> ServeConfig {
    let environment = Environment::new(variables);
    let arguments = arguments.iter().map(|&word| OsString::from(word));
    match parse(arguments, &environment).map_err(|error| error.message).unwrap() {
        Command::Serve(arguments) => {
            arguments.resolve(&environment, |path| path == Path::new("/opt/ml/model"))
        }
        other => panic!("expected serve, found {other:?}"),
    }
}

fn port(arguments: &[&str], variables: &[(&str, &str)]) -> u16 {
    serve(arguments, variables).address.port()
}

#[test]
fn a_flag_goes_before_clary_before_sagemaker_before_the_default() {
    let sagemaker = ("SAGEMAKER_BIND_TO_PORT", "1");
    let clary = ("CLARY_PORT", "2");
    assert_eq!(port(&["clary", "serve"], &[]), 8080);
    assert_eq!(port(&["clary", "serve"], &[sagemaker]), 1);
    assert_eq!(port(&["clary", "serve"], &[sagemaker, clary]), 2);
    assert_eq!(port(&["clary", "serve", "--port", "3"], &[sagemaker, clary]), 3);
    assert_eq!(port(&["clary", "serve"], &[("CLARY_PORT", ""), sagemaker]), 1);
}

#[test]
fn serve_is_the_command_by_the_programs_name_too() {
    assert_eq!(port(&["/usr/bin/serve", "--port", "3"], &[]), 3);
    assert_eq!(port(&["serve", "serve", "--port", "3"], &[]), 3);
}

fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> UsageError {
    let arguments = arguments.iter().map(|&word| OsString::from(word));
    parse(arguments, &Environment::new(variables)).expect_err("refused")
}

#[test]
fn an_unknown_word_is_one_line_and_exit_code_64() {
    let check = |arguments: &[&str], expected: &str| {
        let error = refused(arguments, &[]);
        assert_eq!((error.exit_code, error.message.lines().count()), (64, 1), "{}", error.message);
        assert!(error.message.contains(expected), "{}", error.message);
    };
    check(&["clary", "tarin"], "clary: expected `serve`, `up`, `transform` or `check` and their flags");
    check(&["clary", "tarin"], "found \"tarin\"");
    check(&["clary", "--bogus"], "found \"--bogus\"");
    check(
        &["clary", "serve", "--prot", "1"],
        "clary serve: expected its flags like --port (see `clary serve --help`), found \"--prot\"",
    );
    check(&["clary", "transform", "--bogus"], "(see `clary transform --help`), found \"--bogus\"");
    assert_eq!(refused(&["clary", "--help"], &[]).exit_code, 0);
    assert_eq!(refused(&["clary", "serve"], &[("SAGEMAKER_BIND_TO_PORT", "http")]).exit_code, 64);
    assert_eq!(refused(&["clary", "serve"], &[("CLARY_BODY_LIMIT", "much")]).exit_code, 64);
}

#[test]
fn only_a_sagemaker_container_listens_beyond_loopback() {
    let address = |arguments: &[&str]| serve(arguments, &[]).address.ip().to_string();
    assert_eq!(address(&["clary", "serve"]), "0.0.0.0");
    assert_eq!(address(&["clary", "serve", "--model", "m.tar.gz"]), "127.0.0.1");
    assert_eq!(address(&["clary", "serve", "--model-dir", "/elsewhere"]), "127.0.0.1");
    assert_eq!(address(&["clary", "serve", "--model", "m", "--listen", "::1"]), "::1");
    assert_eq!(address(&["clary", "serve", "--listen", "127.0.0.1"]), "127.0.0.1");
}

#[test]
fn the_model_comes_from_the_flag_then_sm_model_dir_then_the_base() {
    let model = |arguments: &[&str], variables: &[(&str, &str)]| serve(arguments, variables).model;
    assert_eq!(model(&["clary", "serve"], &[]), "/opt/ml/model");
    assert_eq!(model(&["clary", "serve"], &[("SAGEMAKER_BASE_DIR", "/b")]), "/b/model");
    assert_eq!(model(&["clary", "serve"], &[("SAGEMAKER_BASE_DIR", "/b"), ("SM_MODEL_DIR", "/m")]), "/m");
    assert_eq!(model(&["clary", "serve", "--model", "s3://b/k"], &[("SM_MODEL_DIR", "/m")]), "s3://b/k");
}

#[test]
fn sagemakers_variables_mean_what_its_containers_mean() {
    let config = serve(
        &["clary", "serve"],
        &[
            ("SAGEMAKER_MULTI_MODEL", "true"),
            ("SAGEMAKER_BATCH", "True"),
            ("SAGEMAKER_INFERENCE_ENSEMBLE", "false"),
            ("SAGEMAKER_INFERENCE_OUTPUT", "probabilities"),
            ("SAGEMAKER_MODEL_SERVER_WORKERS", "3"),
            ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "9"),
            ("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", "7"),
            ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "2"),
            ("SAGEMAKER_CONTAINER_LOG_LEVEL", "10"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ],
    );
    assert_eq!(config.multi_model.as_deref(), Some(Path::new("/opt/ml/models")));
    assert!(config.load.batch && config.load.ensemble_disabled);
    assert_eq!(config.load.inference_output.as_deref(), Some("probabilities"));
    assert_eq!(config.server.workers, 3);
    assert_eq!(config.server.limits.request_timeout, Duration::from_secs(7));
    assert_eq!(config.server.limits.body_bytes, 2 << 20);
    assert_eq!(config.server.log_level, LogLevel::Debug);
    assert_eq!(config.aws.0, [("aws_endpoint_url".to_owned(), "http://127.0.0.1:9000".to_owned())]);
    assert_eq!(format!("{:?}", config.aws), r#"["aws_endpoint_url"]"#);
    let max_content_length = [("MAX_CONTENT_LENGTH", "100"), ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "2")];
    assert_eq!(serve(&["clary", "serve"], &max_content_length).server.limits.body_bytes, 100);
}

#[test]
fn values_have_units() {
    assert_eq!(byte_count("6MiB"), Ok(6_291_456));
    assert_eq!(seconds("60"), Ok(Duration::from_secs(60)));
    assert_eq!(seconds("250ms"), Ok(Duration::from_millis(250)));
    assert!(seconds("0").is_err() && millis("0").is_ok() && seconds("1e3").is_err());
    assert!(byte_count("-1").is_err() && byte_count("99999999999GiB").is_err());
}
