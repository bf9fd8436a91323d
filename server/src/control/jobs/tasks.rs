//! The tasks of jobs: one for each job that has not ended, and the runtime that their work is done on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The tasks of the jobs of one kind; `S` is what they are told: to go on, to stop, to end for now.
#[derive(Debug)]
pub(in crate::control) struct JobTasks<S> {
    /// Where the tasks are.
    home: Handle,
    tasks: Mutex<Tasks<S>>,
    /// A task has ended.
    ended: Notify,
}

#[derive(Debug)]
struct Tasks<S> {
    /// Where their work is done; `None` once that is over.
    runtime: Option<Runtime>,
    /// Nothing begins any more.
    is_suspended: bool,
    /// By the jobs' ids, whom to tell to stop: a name that is free again may be another's.
    stops: HashMap<String, watch::Sender<S>>,
}

impl<S: Copy + Send + Sync + 'static> JobTasks<S> {
    /// No tasks yet: they will be on `home`, and their work on `runtime`.
    pub(in crate::control) fn new(home: Handle, runtime: Runtime) -> Arc<Self> {
        let tasks = Tasks { runtime: Some(runtime), is_suspended: false, stops: HashMap::new() };
        Arc::new(Self { home, tasks: Mutex::new(tasks), ended: Notify::new() })
    }

    /// Starts the task of the job of this id: what `run` makes of the receiver, which hears `asked` first.
    pub(in crate::control) fn begin<F>(
        self: &Arc<Self>,
        id: String,
        asked: S,
        run: impl FnOnce(watch::Receiver<S>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(asked);
        let mut tasks = self.tasks();
        // A server that is about to end leaves the job to the next one.
        if tasks.is_suspended {
            return;
        }
        tasks.stops.insert(id.clone(), stop);
        let (all, task) = (Arc::clone(self), run(stopped));
        self.home.spawn(async move {
            task.await;
            all.ended(&id);
        });
    }

    /// Tells the task of the job of this id to stop; one that has ended does not hear it.
    pub(in crate::control) fn signal(&self, id: &str, stop: S) {
        if let Some(task) = self.tasks().stops.get(id) {
            task.send_replace(stop);
        }
    }

    /// Begins `work` on the runtime; `None` when nothing begins any more.
    pub(in crate::control) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        let tasks = self.tasks();
        tasks.runtime.as_ref().filter(|_| !tasks.is_suspended).map(|runtime| runtime.spawn(work))
    }

    /// Tells all tasks `stop`, waits for their ends, and ends the runtime. Who does not wait so long leaves the runtime where it
    /// is: it may not be dropped where others run.
    pub(in crate::control) async fn suspend(&self, stop: S) {
        self.tasks().is_suspended = true;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            {
                let tasks = self.tasks();
                if tasks.stops.is_empty() {
                    break;
                }
                for task in tasks.stops.values() {
                    task.send_replace(stop);
                }
            }
            ended.await;
        }
        self.tasks().end();
    }

    fn ended(&self, id: &str) {
        self.tasks().stops.remove(id);
        self.ended.notify_waiters();
    }
}

impl<S> JobTasks<S> {
    fn tasks(&self) -> MutexGuard<'_, Tasks<S>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Tasks<S> {
    /// Ends the runtime, whose threads are not waited for: that may not be done where others run.
    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<S> Drop for JobTasks<S> {
    fn drop(&mut self) {
        self.tasks().end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;
    use training::Stop;

    use super::*;
    use crate::rt;

    /// How long anything here may take. Reason: it takes no time, but a slow machine is given some.
    const TIME_MAX: Duration = Duration::from_secs(10);

    fn tasks() -> Arc<JobTasks<Stop>> {
        JobTasks::new(Handle::current(), rt::training().expect("threads"))
    }

    /// Begins a task that ends when it hears anything but Run; what it heard.
    fn begin(tasks: &Arc<JobTasks<Stop>>, id: &str, asked: Stop) -> oneshot::Receiver<Stop> {
        let (tell, told) = oneshot::channel();
        tasks.begin(id.to_owned(), asked, |mut stop| async move {
            let heard = stop.wait_for(|stop| *stop != Stop::Run).await.map(|stop| *stop);
            let _ = tell.send(heard.expect("its sender stays as long as it does"));
        });
        told
    }

    #[tokio::test]
    async fn a_task_hears_what_is_asked_of_its_job() {
        let tasks = tasks();
        assert_eq!(begin(&tasks, "asked before", Stop::Stop).await, Ok(Stop::Stop));
        let (stopped, suspended) = (begin(&tasks, "a", Stop::Run), begin(&tasks, "b", Stop::Run));
        tasks.signal("a", Stop::Stop);
        tasks.signal("unknown", Stop::Stop);
        assert_eq!(stopped.await, Ok(Stop::Stop));
        tasks.suspend(Stop::Suspend).await;
        assert_eq!(suspended.await, Ok(Stop::Suspend));
    }

    #[tokio::test]
    async fn nothing_begins_once_tasks_are_suspended() {
        let tasks = tasks();
        let done = tasks.spawn(async { 1 }).expect("a runtime").await;
        assert_eq!(done.expect("no fault"), 1);
        tasks.suspend(Stop::Suspend).await;
        assert!(tasks.spawn(async { 1 }).is_none());
        assert!(begin(&tasks, "late", Stop::Stop).await.is_err(), "expected that it is not begun");
    }

    #[tokio::test]
    async fn who_does_not_wait_for_the_end_may_stop_waiting() {
        let tasks = tasks();
        let (end, ended) = oneshot::channel::<()>();
        tasks.begin("deaf".to_owned(), Stop::Run, |_| async move { drop(ended.await) });
        // A runtime that a future holds is dropped with it, which is a fault where others run.
        assert!(timeout(Duration::ZERO, tasks.suspend(Stop::Suspend)).await.is_err());
        assert!(tasks.spawn(async {}).is_none(), "expected that nothing begins");
        drop(end);
        assert_eq!(timeout(TIME_MAX, tasks.suspend(Stop::Suspend)).await, Ok(()));
    }
}
