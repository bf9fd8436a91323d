//! What is measured now and then: the events of models and queues, not of each request.

/// A metric of CloudWatch that is reported by its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// From nothing to a loaded serverless variant, in microseconds.
    ModelSetupTime,
    /// How long a request waited for its model, in microseconds.
    ModelLoadingWaitTime,
    /// Fetching an artifact, in microseconds.
    ModelDownloadingTime,
    /// Loading it, in microseconds.
    ModelLoadingTime,
    /// Freeing it, in microseconds.
    ModelUnloadingTime,
    /// 1 when a request found its model in memory, else 0.
    ModelCacheHit,
    /// A request's payload could not be fetched.
    RequestDownloadFailures,
    /// An answer could not be stored.
    ResponseUploadFailures,
    /// A notification could not be sent.
    NotificationFailures,
    /// Fetching a payload, in microseconds.
    RequestDownloadLatency,
    /// Storing an answer, in microseconds.
    ResponseUploadLatency,
    /// A request was too old to be begun.
    ExpiredRequests,
    /// A request ended without an answer.
    InvocationFailures,
    /// A request was worked on. Spelled as the public service spells it.
    InvocationsProcesssed,
    /// From a request's arrival to its beginning, in milliseconds.
    TimeInBacklog,
    /// From its arrival to its end, in milliseconds.
    TotalProcessingTime,
}

impl Measure {
    /// The metric's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelSetupTime => "ModelSetupTime",
            Self::ModelLoadingWaitTime => "ModelLoadingWaitTime",
            Self::ModelDownloadingTime => "ModelDownloadingTime",
            Self::ModelLoadingTime => "ModelLoadingTime",
            Self::ModelUnloadingTime => "ModelUnloadingTime",
            Self::ModelCacheHit => "ModelCacheHit",
            Self::RequestDownloadFailures => "RequestDownloadFailures",
            Self::ResponseUploadFailures => "ResponseUploadFailures",
            Self::NotificationFailures => "NotificationFailures",
            Self::RequestDownloadLatency => "RequestDownloadLatency",
            Self::ResponseUploadLatency => "ResponseUploadLatency",
            Self::ExpiredRequests => "ExpiredRequests",
            Self::InvocationFailures => "InvocationFailures",
            Self::InvocationsProcesssed => "InvocationsProcesssed",
            Self::TimeInBacklog => "TimeInBacklog",
            Self::TotalProcessingTime => "TotalProcessingTime",
        }
    }

    /// CloudWatch's unit.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::ModelSetupTime
            | Self::ModelLoadingWaitTime
            | Self::ModelDownloadingTime
            | Self::ModelLoadingTime
            | Self::ModelUnloadingTime
            | Self::RequestDownloadLatency
            | Self::ResponseUploadLatency => "Microseconds",
            Self::TimeInBacklog | Self::TotalProcessingTime => "Milliseconds",
            _ => "None",
        }
    }
}

/// What waits at an asynchronous endpoint, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Requests that wait or are worked on.
    pub size: u64,
    /// How long the oldest has waited, in seconds.
    pub oldest_age_seconds: f64,
    /// Instances of the endpoint.
    pub instances: u32,
}
