//! Which images are known here: what trains them, what serves them, and what a container definition says of how its model loads.
//!
//! An image is known by its repository's name alone: registry, account and tag differ by region and release, and mean
//! nothing here. A container's environment means what the same variables mean to `clary serve`.

use std::ffi::OsString;

use codecs::ContentType;
use models::{Algorithm, LoadOptions};
use serde_json::Value;

use crate::config::{self, Command, environment::Environment};
use crate::serving::Loader;

/// The repositories that are known, and the algorithm of each as its trainer and its artifacts name it; `None` is any of them.
/// One table for training and for hosting: the image of a training job is that of its model.
const KNOWN: &[(&str, Option<&str>)] = &[
    ("xgboost", Some("xgboost")),
    ("sagemaker-xgboost", Some("xgboost")),
    ("linear-learner", Some("linear-learner")),
    ("kmeans", Some("kmeans")),
    ("pca", Some("pca")),
    ("knn", Some("knn")),
    ("factorization-machines", Some("factorization-machines")),
    ("randomcutforest", Some("randomcutforest")),
    ("lda", Some("lda")),
    ("clary", None),
];

/// The variable that makes a container run a script of the user's.
const SCRIPT_VARIABLE: &str = "SAGEMAKER_PROGRAM";

/// Why a container definition is not served; said in an endpoint's `FailureReason`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ImageError(String);

/// How the models of a container load and answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// `Image`, as it was given.
    pub image: String,
    /// What its artifacts must be; `None` takes any.
    pub family: Option<Algorithm>,
    /// An artifact, or the prefix of many.
    pub model_data: ModelData,
    /// How models load.
    pub options: LoadOptions,
    /// The answer's media type without Accept, when it is not the model's own.
    pub default_accept: Option<ContentType>,
}

/// Where a container's models are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelData {
    /// One artifact, at this URL.
    One(String),
    /// Many, below this URL.
    Many(String),
}

impl Container {
    /// Of a stored model: its one container.
    ///
    /// # Errors
    /// When it has several, or what it has is not served.
    pub fn of_model(model: &Value) -> Result<Self, ImageError> {
        let several = model.get("Containers").and_then(Value::as_array);
        let container = match (model.get("PrimaryContainer"), several.map(Vec::as_slice)) {
            (Some(container), None) | (None, Some([container])) => container,
            (_, Some(containers)) if containers.len() > 1 => {
                let count = containers.len();
                return Err(ImageError(format!(
                    "expected one container, found {count}: inference pipelines are not served yet"
                )));
            }
            _ => return Err(ImageError("expected a PrimaryContainer, found none".into())),
        };
        Self::of_definition(container)
    }

    fn of_definition(definition: &Value) -> Result<Self, ImageError> {
        let Some(image) = definition.get("Image").and_then(Value::as_str) else {
            return Err(ImageError("expected a container with an Image, found one without".into()));
        };
        let family = family(image)?;
        let variables = variables(definition);
        if let Some((_, program)) =
            variables.iter().find(|(name, value)| name == SCRIPT_VARIABLE && !value.is_empty())
        {
            return Err(ImageError(format!(
                "image {image}: expected no script, found {SCRIPT_VARIABLE} = {program:?}: models are served, scripts are not run"
            )));
        }
        let (options, default_accept) = load_options(&variables)?;
        Ok(Self {
            image: image.to_owned(),
            family,
            model_data: model_data(definition)?,
            options,
            default_accept,
        })
    }

    /// Whether an artifact of `found` may be served by this image.
    ///
    /// # Errors
    /// When it is of another family.
    pub fn check_family(&self, found: Algorithm) -> Result<(), ImageError> {
        match self.family {
            Some(expected) if expected != found => Err(ImageError(format!(
                "image {}: expected an artifact of {}, found one of {}",
                self.image,
                expected.name(),
                found.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// The repository's name in an image URI: no registry, no tag, no digest.
pub fn repository(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split(':').next().unwrap_or(last)
}

/// The algorithm that an image trains; `Some(None)` leaves it to the job, `None` is an image of others.
pub fn trained(image: &str) -> Option<Option<&'static str>> {
    let repository = repository(image);
    KNOWN.iter().find(|(name, _)| *name == repository).map(|(_, algorithm)| *algorithm)
}

/// The algorithm of this name (not: of an image).
pub fn algorithm(name: &str) -> Option<&'static str> {
    KNOWN.iter().filter_map(|(_, algorithm)| *algorithm).find(|known| *known == name)
}

fn family(image: &str) -> Result<Option<Algorithm>, ImageError> {
    let Some(known) = trained(image) else {
        let names: Vec<_> = KNOWN.iter().map(|(name, _)| *name).collect();
        let (names, repository) = (names.join(", "), repository(image));
        return Err(ImageError(format!(
            "image {image}: expected a repository of {names}, found {repository:?}"
        )));
    };
    let Some(name) = known else { return Ok(None) };
    let family = Algorithm::from_name(name);
    family.map(Some).ok_or_else(|| ImageError(format!("image {image}: {name} is not served yet")))
}

fn variables(definition: &Value) -> Vec<(String, String)> {
    let members = definition.get("Environment").and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    members.into_iter().flatten().filter_map(text).collect()
}

/// What `clary serve` would make of these variables.
fn load_options(variables: &[(String, String)]) -> Result<(LoadOptions, Option<ContentType>), ImageError> {
    let pairs: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let environment = Environment::new(&pairs);
    let line = ["clary", "serve", "--model", "model"].map(OsString::from);
    let refused = |reason: &str| ImageError(format!("Environment: {}", reason.trim()));
    let command = config::parse(line, &environment).map_err(|error| refused(&error.message))?;
    let Command::Serve(arguments) = command else { unreachable!("the line says serve") };
    let serve = arguments.resolve(&environment, |_| false);
    let default_accept = Loader::default_accept(serve.default_accept.as_deref());
    Ok((serve.load, default_accept.map_err(|error| refused(&error.to_string()))?))
}

fn model_data(definition: &Value) -> Result<ModelData, ImageError> {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let source = |member: &str| text(&format!("/ModelDataSource/S3DataSource/{member}"));
    let is_many = definition.get("Mode").is_some_and(|mode| mode == "MultiModel");
    let url = match (text("/ModelDataUrl"), source("S3Uri")) {
        (Some(url), _) => url,
        (None, Some(url)) if is_many => url,
        (None, Some(url)) => {
            let (kind, compression) = (source("S3DataType"), source("CompressionType"));
            let (kind, compression) = (kind.unwrap_or_default(), compression.unwrap_or_default());
            if kind != "S3Object" {
                return Err(ImageError(format!(
                    "ModelDataSource {url}: expected S3DataType S3Object, found {kind} ({compression}): uncompressed prefixes are not served yet"
                )));
            }
            url
        }
        (None, None) => return Err(ImageError("expected a ModelDataUrl, found none".into())),
    };
    if !url.starts_with("s3://") {
        return Err(ImageError(format!("ModelDataUrl: expected an s3:// URL, found {url:?}")));
    }
    Ok(if is_many { ModelData::Many(url) } else { ModelData::One(url) })
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "cases hand in literals")]
mod tests {
    use codecs::Format;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_is_known_by_its_repository() {
        for (image, expected) in [
            ("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1", "sagemaker-xgboost"),
            ("811284229777.dkr.ecr-fips.us-east-1.amazonaws.com/xgboost:latest", "xgboost"),
            ("kmeans:1", "kmeans"),
            ("localhost:5000/clary", "clary"),
            ("r.example/team/linear-learner@sha256:00ff", "linear-learner"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
            family(image).expect(image);
            assert_eq!(trained(image).is_some_and(|algorithm| algorithm.is_none()), expected == "clary");
        }
        assert_eq!(
            trained("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"),
            Some(Some("xgboost"))
        );
        assert_eq!(trained("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1"), None);
        assert_eq!(
            (algorithm("lda"), algorithm("clary"), algorithm("sagemaker-xgboost")),
            (Some("lda"), None, None)
        );
        let error = family("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.1")
            .expect_err("not served");
        assert!(
            error.to_string().contains("pytorch-inference:2.1")
                && error.to_string().contains("sagemaker-xgboost")
        );
    }

    fn check_refused(container: Value, expected: &str) {
        let error = Container::of_model(&json!({"PrimaryContainer": container})).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn what_is_not_served_says_so() {
        check_refused(json!({"ModelDataUrl": "s3://b/k"}), "an Image");
        check_refused(json!({"Image": "kmeans:1"}), "a ModelDataUrl, found none");
        check_refused(json!({"Image": "kmeans:1", "ModelDataUrl": "https://b/k"}), "an s3:// URL");
        let script = json!({"SAGEMAKER_PROGRAM": "inference.py"});
        check_refused(
            json!({"Image": "kmeans:1", "ModelDataUrl": "s3://b/k", "Environment": script}),
            "inference.py",
        );
        let wrong = json!({"SAGEMAKER_BATCH": "perhaps"});
        check_refused(
            json!({"Image": "kmeans:1", "ModelDataUrl": "s3://b/k", "Environment": wrong}),
            "perhaps",
        );
        let prefix = json!({"S3DataSource": {"S3Uri": "s3://b/p/", "S3DataType": "S3Prefix", "CompressionType": "None"}});
        check_refused(json!({"Image": "kmeans:1", "ModelDataSource": prefix}), "S3Prefix");
        let container = json!({"Image": "kmeans:1", "ModelDataUrl": "s3://b/k"});
        let error =
            Container::of_model(&json!({"Containers": [container, container]})).expect_err("a pipeline");
        assert!(error.to_string().contains("pipelines are not served yet"), "{error}");
    }

    #[test]
    fn the_environment_means_what_it_means_to_serve() {
        let container = json!({
            "Image": "xgboost:1", "ModelDataUrl": "s3://b/k",
            "Environment": {"SAGEMAKER_INFERENCE_OUTPUT": "probabilities", "SAGEMAKER_BATCH": "true",
                "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json", "OTHER": "x"},
        });
        let container = Container::of_model(&json!({"Containers": [container]})).expect("served");
        assert_eq!(container.options.inference_output.as_deref(), Some("probabilities"));
        assert!(container.options.batch);
        assert_eq!(container.default_accept, Some(ContentType::new(Format::Json)));
        container.check_family(Algorithm::Xgboost).expect("its own");
        container.check_family(Algorithm::Kmeans).expect_err("another");
    }

    #[test]
    fn many_models_lie_below_a_prefix() {
        let many = json!({"Image": "clary", "Mode": "MultiModel", "ModelDataUrl": "s3://b/models/"});
        let container = Container::of_model(&json!({"PrimaryContainer": many})).expect("served");
        assert_eq!(container.model_data, ModelData::Many("s3://b/models/".into()));
        container.check_family(Algorithm::Kmeans).expect("any");
    }
}
