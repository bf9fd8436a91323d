//! The header fields that mean something to `clary up`, found in one pass over them, beside those of every server.

use hyper::header::{HeaderMap, HeaderValue};

use super::fields::{Fields, Single};

/// What a request's header fields say.
#[derive(Debug)]
pub(super) struct RuntimeFields<'a> {
    /// What they say to every server.
    pub(super) base: Fields<'a>,
    /// `X-Amz-Target`.
    pub(super) target: Option<&'a str>,
    /// `Authorization`, when it is text.
    pub(super) authorization: Option<&'a str>,
    /// `smithy-protocol: rpc-v2-cbor`.
    pub(super) is_cbor: bool,
    /// `x-amzn-query-mode: true`: the client knows the codes of the Query protocol.
    pub(super) is_query_mode: bool,
    /// `X-Amzn-SageMaker-Target-Variant`.
    pub(super) target_variant: Single<'a>,
    /// `X-Amzn-SageMaker-Target-Model`.
    pub(super) target_model: Single<'a>,
    /// `X-Amzn-SageMaker-Target-Container-Hostname`.
    pub(super) target_container: Single<'a>,
    /// `X-Amzn-SageMaker-Inference-Component`.
    pub(super) inference_component: Single<'a>,
    /// `X-Amzn-SageMaker-Inference-Id`.
    pub(super) inference_id: Single<'a>,
    /// `X-Amzn-SageMaker-Enable-Explanations`.
    pub(super) explanations: Single<'a>,
    /// `X-Amzn-SageMaker-Session-Id`.
    pub(super) session_id: Single<'a>,
    /// `X-Amzn-SageMaker-Prefix-Aware-Id`.
    pub(super) prefix_aware_id: Single<'a>,
    /// `X-Amzn-SageMaker-Accept`, where `Accept` is not the prediction's.
    pub(super) prediction_accept: Single<'a>,
    /// `X-Clary-Assignment-Key`.
    pub(super) assignment_key: Single<'a>,
}

impl<'a> RuntimeFields<'a> {
    /// Looks at each field once.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self {
            base: Fields::empty(headers),
            target: None,
            authorization: None,
            is_cbor: false,
            is_query_mode: false,
            target_variant: Single::default(),
            target_model: Single::default(),
            target_container: Single::default(),
            inference_component: Single::default(),
            inference_id: Single::default(),
            explanations: Single::default(),
            session_id: Single::default(),
            prefix_aware_id: Single::default(),
            prediction_accept: Single::default(),
            assignment_key: Single::default(),
        };
        for (name, value) in headers {
            let name = name.as_str();
            match name.strip_prefix("x-amzn-sagemaker-") {
                Some(rest) => fields.see_sagemaker(rest, name, value),
                None => fields.see(name, value),
            }
        }
        fields
    }

    fn see(&mut self, name: &str, value: &'a HeaderValue) {
        match name {
            "x-amz-target" => self.target = value.to_str().ok(),
            "authorization" => self.authorization = value.to_str().ok(),
            "smithy-protocol" => self.is_cbor = value == "rpc-v2-cbor",
            "x-amzn-query-mode" => self.is_query_mode = value == "true",
            "x-clary-assignment-key" => self.assignment_key.see(value),
            _ => self.base.see(name, value),
        }
    }

    fn see_sagemaker(&mut self, rest: &str, name: &str, value: &'a HeaderValue) {
        match rest {
            "target-variant" => self.target_variant.see(value),
            "target-model" => self.target_model.see(value),
            "target-container-hostname" => self.target_container.see(value),
            "inference-component" => self.inference_component.see(value),
            "inference-id" => self.inference_id.see(value),
            "enable-explanations" => self.explanations.see(value),
            "session-id" => self.session_id.see(value),
            "prefix-aware-id" => self.prefix_aware_id.see(value),
            "accept" => self.prediction_accept.see(value),
            _ => self.base.see(name, value),
        }
    }
}
