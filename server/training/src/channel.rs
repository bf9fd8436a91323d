//! A channel: data under a name, where it is, and how a program gets it.

/// A channel of `InputDataConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `ChannelName`.
    pub name: String,
    /// Where the data is.
    pub source: Source,
    /// Which of it each host gets.
    pub distribution: Distribution,
    /// How the program gets it.
    pub mode: InputMode,
    /// `CompressionType`: objects are unpacked on their way (Pipe mode alone).
    pub gzip: bool,
    /// `RecordWrapperType`: each object becomes one RecordIO record (Pipe mode alone).
    pub record_wrapper: bool,
    /// `ShuffleConfig.Seed`: the order of the objects is drawn, anew for each epoch in Pipe mode.
    pub shuffle_seed: Option<u64>,
    /// `ContentType`.
    pub content_type: Option<String>,
}

/// Where a channel's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All objects whose keys begin with this `s3://bucket/prefix`.
    Prefix(String),
    /// Those that the manifest at this `s3://bucket/key` lists.
    Manifest(String),
    /// The JSON Lines at this `s3://bucket/key` (Pipe mode alone).
    Augmented {
        /// Where the lines are.
        uri: String,
        /// `AttributeNames`: which members of a line are data, in this order.
        attributes: Vec<String>,
    },
}

impl Source {
    /// The URI that the request names.
    pub fn uri(&self) -> &str {
        match self {
            Self::Prefix(uri) | Self::Manifest(uri) | Self::Augmented { uri, .. } => uri,
        }
    }
}

/// `S3DataDistributionType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// Every host has all.
    #[default]
    FullyReplicated,
    /// Of the sorted keys, host i of n has those whose index is i modulo n.
    ShardedByS3Key,
}

impl Distribution {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullyReplicated => "FullyReplicated",
            Self::ShardedByS3Key => "ShardedByS3Key",
        }
    }
}

/// `TrainingInputMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputMode {
    /// Files, all there before the program starts.
    #[default]
    File,
    /// Files. Here as [`Self::File`]: the store is beside the program, and a copy is as fast as a view.
    FastFile,
    /// A FIFO an epoch.
    Pipe,
}

impl InputMode {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::FastFile => "FastFile",
            Self::Pipe => "Pipe",
        }
    }
}
