//! The serving runtime: the shell around `encode ∘ predict ∘ decode` that waits, spawns threads and can be
//! misconfigured, so that [`codecs`] and [`models`] need not.
//!
//! | module | is | knows alone |
//! |---|---|---|
//! | [`config`] | the command line and the environment | the environment |
//! | [`serve`], [`up`] | the parts put together | who needs what |
//! | [`http`] | sockets, TLS, bodies, routes | hyper |
//! | [`faces`] | the wire shapes of the interfaces | AWS's names |
//! | [`serving`] | the data plane | which thread predicts |
//! | [`transform`] | batch transform over the data plane | a second pool |
//! | [`store`], [`buckets`] | paths and S3 | object_store |
//! | [`credentials`] | the file of who may call | when it changes |
//! | [`error`] | what can go wrong | HTTP's statuses |
//! | [`metrics`] | what is counted | the names of metrics |
//! | [`rt`] | runtimes and threads | how they are made |

pub mod buckets;
pub mod check;
pub mod config;
pub mod control;
pub mod credentials;
pub mod error;
pub mod faces;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod platform;
pub mod rt;
pub mod serve;
pub mod serving;
pub mod shutdown;
pub mod store;
pub mod transform;
pub mod up;

pub use serve::{Ended, Server};
