//! Threads and runtimes: the only module that makes any.
//!
//! The data plane is a current-thread runtime per core; the control plane (reloads, S3, TLS files, loads of models)
//! has a runtime of its own, so that nothing slow ever stands before a prediction.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Threads of the control runtime that may block. Reason: a load is CPU-bound; more at once only slow each other and
/// the data plane.
const BLOCKING_THREADS: usize = 4;

/// How long an idle blocking thread stays. Reason: its stack is not worth keeping between reloads.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The stack of the threads we start. Reason: decoders and walkers do not recurse deeply, and untouched pages are
/// free, so the platform's usual 2 MiB costs nothing.
const STACK_BYTES: usize = 2 << 20;

/// The control plane's runtime; the calling thread drives it too, through `block_on`.
///
/// # Errors
/// When the system gives no threads.
pub fn control() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name("clary-control")
        .enable_all()
        .build()
}

/// A thread of the data plane: runs `work` on a runtime of its own until it ends.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn_data_plane<F>(index: usize, work: impl FnOnce() -> F + Send + 'static) -> io::Result<()>
where
    F: Future<Output = ()>,
{
    // Built here, so that a lack of file descriptors is an error of the start.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    spawn_thread(&format!("data-{index}"), move || runtime.block_on(work()))
}

/// A named thread.
///
/// # Errors
/// When the system gives none.
pub fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("clary-{name}")).stack_size(STACK_BYTES);
    thread.spawn(work).map(drop)
}

/// Runs blocking `work` beside the control runtime, on whose threads this is called.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down: whoever waits goes with it.
            Err(_) => std::future::pending().await,
        },
    }
}
