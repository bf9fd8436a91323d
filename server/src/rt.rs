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

/// Blocking threads of a runtime for transforms. Reason: a directory's reads and writes block; the engine has at most a few of
/// them under way for each of the objects that it carries side by side.
const TRANSFORM_BLOCKING_THREADS: usize = 16;

/// Threads of the runtime of training jobs. Reason: its tasks wait for processes, stores and disks; what takes a core is done by
/// its blocking threads.
const TRAINING_THREADS: usize = 2;

/// What is added to the nice value of threads in the background. Reason: the kernel weighs a thread by a quarter less for each, so
/// that a background thread has a third of a usual one's share beside busy ones, and all of an idle core. Ten would leave a
/// tenth: where other work keeps all cores busy, jobs of seconds then take minutes.
#[cfg(target_os = "linux")]
const BACKGROUND_NICENESS: i32 = 5;

/// How a thread stands to others that want the same core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// As the process was started.
    Usual,
    /// Behind the usual ones.
    Background,
}

impl Priority {
    /// Gives the calling thread this priority.
    fn take(self) {
        // On Linux a nice value is a thread's. Elsewhere it is the whole process's, and stays as it is.
        #[cfg(target_os = "linux")]
        if self == Self::Background {
            // To be nicer needs no permission; where a sandbox forbids even that, work goes on as usual.
            let _ = rustix::process::nice(BACKGROUND_NICENESS);
        }
    }
}

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

/// The runtime of the control plane's transforms: beside the data plane, behind it in priority.
///
/// # Errors
/// When the system gives no threads.
pub fn jobs() -> io::Result<Runtime> {
    transforms("clary-jobs", Priority::Background)
}

/// The runtime of a program that is nothing but a transform.
///
/// # Errors
/// When the system gives no threads.
pub fn transform() -> io::Result<Runtime> {
    transforms("clary-transform", Priority::Usual)
}

/// The runtime of the control plane's training jobs: behind the data plane in priority, and so are the processes that it starts.
///
/// # Errors
/// When the system gives no threads.
pub fn training() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(TRAINING_THREADS)
        .max_blocking_threads(TRANSFORM_BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name("clary-training")
        .on_thread_start(|| Priority::Background.take())
        .enable_all()
        .build()
}

/// As many workers as there are cores: each call of a model is a task of its own, and short ones are answered in it.
fn transforms(name: &str, priority: Priority) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .max_blocking_threads(TRANSFORM_BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name(name)
        .on_thread_start(move || priority.take())
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
    spawn_thread_with(name, Priority::Usual, work)
}

/// A named thread of this priority.
///
/// # Errors
/// When the system gives none.
pub fn spawn_thread_with(
    name: &str,
    priority: Priority,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("clary-{name}")).stack_size(STACK_BYTES);
    let work = move || {
        priority.take();
        work();
    };
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn jobs_stand_behind_in_priority() {
        let own = rustix::process::getpriority_process(None).expect("a thread has a priority");
        let of = |runtime: Runtime| {
            let task = runtime.spawn(async { rustix::process::getpriority_process(None) });
            runtime.block_on(task).expect("it ends").expect("a thread has a priority")
        };
        assert_eq!(of(transform().expect("threads")), own);
        // Nineteen is the most.
        assert_eq!(of(jobs().expect("threads")), (own + BACKGROUND_NICENESS).min(19));
    }
}
