//! What a request wants to be run, and what of this machine runs it.
//!
//! | image | is run as |
//! |---|---|
//! | a built-in algorithm's, without a script | `clary-train train` |
//! | `process:/path/to/program argument…` | that program, where the server allows it |
//! | any other | a container, where there is an engine for them |

use std::path::PathBuf;

use serde_json::{Map, Value};
use training::Program;

use super::request::{at, refused, word};
use crate::control::ControlError;
use crate::control::images;

/// What an image that is a program of this machine begins with.
const PROCESS: &str = "process:";

/// The hyperparameter that makes a framework's image run a script of the user's.
const SCRIPT: &str = "sagemaker_program";

/// The variable that says what the image `clary` trains.
const ALGORITHM_VARIABLE: &str = "CLARY_ALGORITHM";

/// What of this machine runs jobs.
#[derive(Debug, Clone, Default)]
pub struct Executors {
    /// `clary-train`, when it was found.
    pub clary_train: Option<PathBuf>,
    /// A container engine, when one was found.
    pub container_engine: Option<PathBuf>,
    /// Whether programs of this machine may be images.
    pub allows_processes: bool,
}

/// What a request wants to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    image: Image,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    is_isolated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Image {
    BuiltIn(&'static str),
    Process(Vec<String>),
    /// With the script that it is to run, if there is one.
    Other(String, Option<String>),
}

impl Wanted {
    /// Of a request that has its shape.
    ///
    /// # Errors
    /// When it names no image, or one that can never be run.
    pub(super) fn parse(request: &Map<String, Value>) -> Result<Self, ControlError> {
        let words = |member: &str| -> Vec<String> {
            let listed = at(request, &format!("AlgorithmSpecification.{member}")).and_then(Value::as_array);
            listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let is_isolated = request.get("EnableNetworkIsolation").and_then(Value::as_bool).unwrap_or(false);
        let (entrypoint, arguments) = (words("ContainerEntrypoint"), words("ContainerArguments"));
        let image = image(request, !entrypoint.is_empty() || !arguments.is_empty())?;
        if matches!(image, Image::Process(_)) && is_isolated {
            return Err(refused(
                "EnableNetworkIsolation: expected false with an image of a program of this machine, found true: such a program \
                 cannot be kept from the network",
            ));
        }
        Ok(Self { image, entrypoint, arguments, is_isolated })
    }

    /// The built-in algorithm that is trained.
    pub(super) fn built_in(&self) -> Option<&'static str> {
        match self.image {
            Image::BuiltIn(algorithm) => Some(algorithm),
            _ => None,
        }
    }
}

impl Executors {
    /// Whether `wanted` may be asked for at all.
    ///
    /// # Errors
    /// When not.
    pub(super) fn admit(&self, wanted: &Wanted) -> Result<(), ControlError> {
        if !matches!(wanted.image, Image::Process(_)) || self.allows_processes {
            return Ok(());
        }
        Err(refused(
            "AlgorithmSpecification.TrainingImage: images of programs (process:/path/to/program) are not allowed by this server: \
             whoever may create jobs could run anything as its user. Its operator may allow them with --allow-process-images",
        ))
    }

    /// What runs `wanted`.
    ///
    /// # Errors
    /// Why nothing does: a reason of failure.
    pub(super) fn program(&self, wanted: Wanted) -> Result<Program, String> {
        let Wanted { image, entrypoint, arguments, is_isolated } = wanted;
        match image {
            Image::BuiltIn(algorithm) => {
                let clary_train = self.clary_train.clone().ok_or_else(|| {
                    "InternalServerError: expected the program clary-train beside the server's or on its PATH, found none; \
                     --clary-train names it"
                        .to_owned()
                })?;
                Ok(Program::Builtin { clary_train, algorithm: algorithm.to_owned() })
            }
            Image::Process(command) => Ok(Program::Process { command, folder: None, entrypoint, arguments }),
            Image::Other(image, script) => match self.container_engine.clone() {
                Some(engine) => Ok(Program::Container { engine, image, entrypoint, arguments, is_isolated }),
                None => Err(no_engine(&image, script.as_deref())),
            },
        }
    }
}

/// Why an image is not run where no engine is, and what can be done.
fn no_engine(image: &str, script: Option<&str>) -> String {
    let what = script.map_or_else(String::new, |script| {
        format!(" with the script {script} ({SCRIPT}), which runs in its image alone")
    });
    format!(
        "ClientError: the image {image}{what} is not one of a built-in algorithm, and this server has no container engine \
         (docker, podman or nerdctl) to run it with. A program of the server's machine can be trained with as the image \
         process:/path/to/program, where the server is started with --allow-process-images"
    )
}

/// What is to be run; `is_replaced` is whether the request says so itself, so that it is an image's content that matters.
fn image(request: &Map<String, Value>, is_replaced: bool) -> Result<Image, ControlError> {
    let member = |name: &str| format!("AlgorithmSpecification.{name}");
    let named = |name: &str| word(request, &member(name)).filter(|text| !text.is_empty());
    let image = match (named("TrainingImage"), named("AlgorithmName")) {
        (Some(image), None) => image,
        (None, Some(name)) => return of_algorithm(name),
        (found, _) => {
            let found = if found.is_some() { "both" } else { "none" };
            return Err(refused(format!(
                "AlgorithmSpecification: expected one of TrainingImage and AlgorithmName, found {found}"
            )));
        }
    };
    if let Some(command) = image.strip_prefix(PROCESS) {
        return process(command);
    }
    // A word of an engine's command line must not be taken for a flag, nor for two words.
    if image.starts_with('-') || image.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    {
        return Err(refused(format!(
            "AlgorithmSpecification.TrainingImage: expected the URI of an image, found {image:?}"
        )));
    }
    let script = script(request);
    match images::trained(image) {
        Some(algorithm) if script.is_none() && !is_replaced => match algorithm {
            Some(algorithm) => Ok(Image::BuiltIn(algorithm)),
            None => of_variable(request, image),
        },
        _ => Ok(Image::Other(image.to_owned(), script)),
    }
}

fn of_algorithm(name: &str) -> Result<Image, ControlError> {
    images::algorithm(name).map(Image::BuiltIn).ok_or_else(|| {
        refused(format!(
            "AlgorithmSpecification.AlgorithmName: expected the name of a built-in algorithm, such as kmeans, found {name:?}"
        ))
    })
}

fn of_variable(request: &Map<String, Value>, image: &str) -> Result<Image, ControlError> {
    let found = word(request, &format!("Environment.{ALGORITHM_VARIABLE}"));
    found.and_then(images::algorithm).map(Image::BuiltIn).ok_or_else(|| {
        refused(format!(
            "AlgorithmSpecification.TrainingImage: expected {ALGORITHM_VARIABLE} in Environment to name a built-in algorithm, such \
             as kmeans, beside the image {image}, found {}",
            found.map_or_else(|| "none".to_owned(), |found| format!("{found:?}"))
        ))
    })
}

/// A program and its arguments, in words: without quotes, as no shell reads them.
fn process(command: &str) -> Result<Image, ControlError> {
    let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(Image::Process(words)),
        _ => Err(refused(format!(
            "AlgorithmSpecification.TrainingImage: expected {PROCESS}/path/to/program and its arguments, found {PROCESS}{command}"
        ))),
    }
}

/// The script that a framework's image is to run; the SDK quotes its name as JSON.
fn script(request: &Map<String, Value>) -> Option<String> {
    let given = word(request, &format!("HyperParameters.{SCRIPT}"))?.trim();
    let name = given.trim_matches('"');
    (!name.is_empty() && name != "null").then(|| name.to_owned())
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "cases hand in literals")]
mod tests {
    use serde_json::json;

    use super::*;

    const XGBOOST: &str = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1";

    fn parse(specification: Value, further: Value) -> Result<Wanted, String> {
        let mut request = further.as_object().cloned().expect("an object");
        request.insert("AlgorithmSpecification".into(), specification);
        Wanted::parse(&request).map_err(|error| error.to_string())
    }

    fn check(image: &str, further: Value, expected: Image) {
        let wanted = parse(json!({"TrainingImage": image}), further).expect("an image");
        assert_eq!(wanted.image, expected, "{image}");
    }

    #[test]
    fn an_image_says_what_is_run() {
        check(XGBOOST, json!({}), Image::BuiltIn("xgboost"));
        check("kmeans:1", json!({}), Image::BuiltIn("kmeans"));
        check("clary", json!({"Environment": {"CLARY_ALGORITHM": "pca"}}), Image::BuiltIn("pca"));
        let script = |name: &str| json!({"HyperParameters": {"sagemaker_program": name}});
        check(XGBOOST, script("\"train.py\""), Image::Other(XGBOOST.into(), Some("train.py".into())));
        check(XGBOOST, script("null"), Image::BuiltIn("xgboost"));
        check("pytorch-training:2.1", json!({}), Image::Other("pytorch-training:2.1".into(), None));
        let words = ["/bin/sh".to_owned(), "-x".to_owned()];
        check("process:/bin/sh  -x", json!({}), Image::Process(words.to_vec()));
        let wanted = parse(json!({"AlgorithmName": "lda"}), json!({})).expect("a name");
        assert_eq!(wanted.built_in(), Some("lda"));
        // Whoever replaces what the image runs means the image.
        let replaced = json!({"TrainingImage": XGBOOST, "ContainerEntrypoint": ["/bin/bash"], "ContainerArguments": ["-c", "x"]});
        let wanted = parse(replaced, json!({})).expect("an image");
        assert_eq!(wanted.image, Image::Other(XGBOOST.into(), None));
        assert_eq!((wanted.entrypoint.len(), wanted.arguments.len()), (1, 2));
    }

    #[test]
    fn what_can_never_be_run_is_refused() {
        let check = |specification: Value, further: Value, expected: &str| {
            let error = parse(specification, further).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        check(json!({}), json!({}), "expected one of TrainingImage and AlgorithmName, found none");
        check(json!({"TrainingImage": "a", "AlgorithmName": "b"}), json!({}), "found both");
        check(
            json!({"AlgorithmName": "arn:aws:sagemaker:r:000000000000:algorithm/a"}),
            json!({}),
            "such as kmeans",
        );
        check(json!({"TrainingImage": "process:train.sh"}), json!({}), "process:/path/to/program");
        check(json!({"TrainingImage": "--privileged"}), json!({}), "the URI of an image");
        check(json!({"TrainingImage": "a b"}), json!({}), "the URI of an image");
        check(json!({"TrainingImage": "clary"}), json!({}), "found none");
        check(
            json!({"TrainingImage": "clary"}),
            json!({"Environment": {"CLARY_ALGORITHM": "sort"}}),
            "found \"sort\"",
        );
        check(
            json!({"TrainingImage": "process:/bin/true"}),
            json!({"EnableNetworkIsolation": true}),
            "EnableNetworkIsolation",
        );
    }

    #[test]
    fn what_runs_it_depends_on_the_machine() {
        let wanted = |image: &str| parse(json!({"TrainingImage": image}), json!({})).expect("an image");
        let bare = Executors::default();
        let full = Executors {
            clary_train: Some("/bin/clary-train".into()),
            container_engine: Some("/bin/docker".into()),
            allows_processes: true,
        };
        let error = bare.admit(&wanted("process:/bin/true")).expect_err("not allowed").to_string();
        assert!(error.contains("--allow-process-images"), "{error}");
        full.admit(&wanted("process:/bin/true")).expect("allowed");
        bare.admit(&wanted("pytorch-training:2.1")).expect("its failure says more");
        let builtin = Program::Builtin { clary_train: "/bin/clary-train".into(), algorithm: "kmeans".into() };
        assert_eq!(full.program(wanted("kmeans:1")), Ok(builtin));
        let reason = bare.program(wanted("kmeans:1")).expect_err("no program");
        assert!(reason.contains("--clary-train"), "{reason}");
        let reason = bare.program(wanted("pytorch-training:2.1")).expect_err("no engine");
        assert!(reason.contains("pytorch-training:2.1") && reason.contains("process:/"), "{reason}");
        let found = full.program(wanted("pytorch-training:2.1")).expect("an engine");
        assert!(matches!(found, Program::Container { is_isolated: false, .. }), "{found:?}");
        let script = json!({"HyperParameters": {"sagemaker_program": "\"train.py\""}});
        let wanted = parse(json!({"TrainingImage": XGBOOST}), script).expect("an image");
        let reason = bare.program(wanted).expect_err("no engine");
        assert!(reason.contains("the script train.py") && reason.len() <= 1024, "{reason}");
    }
}
