//! Group commit: changes that wait at the same time share one transaction, and with it the flushes of the disk that take
//! nearly all of a small object's time.
//!
//! Nobody waits for company: who finds nobody committing takes all that wait, itself among them, and commits them; who comes
//! meanwhile is in the next group. A change is answered when its group's transaction is on the disk; one that is refused
//! leaves the others as they are.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::directory::Directory;
use crate::error::{Error, Result, stopping};
use crate::index::chores::Chore;
use crate::writer::IncomingFile;

/// The most changes of one transaction. Reason: the first of them waits for the last; the flush they share weighs as much as
/// some dozens.
const GROUP_MAX: usize = 64;

/// Changes that wait. There are never more than requests under way, which whoever takes those in bounds.
#[derive(Default)]
pub(crate) struct Group {
    waiting: Mutex<VecDeque<Box<dyn Member>>>,
    /// Held by who commits.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("waiting", &self.waiting().len()).finish_non_exhaustive()
    }
}

impl Group {
    /// A panic while it was held left no half change behind: each is one call of the queue.
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Box<dyn Member>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Vec<Box<dyn Member>> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(GROUP_MAX);
        waiting.drain(..count).filter(|member| !member.is_abandoned()).collect()
    }
}

/// A change of a group.
trait Member: Send {
    /// Whether nobody waits for it any more. It must not be made later, over what was answered meanwhile.
    fn is_abandoned(&self) -> bool;
    /// Whether it brings bytes.
    fn has_file(&self) -> bool;
    /// Makes the change in the transaction; whether it stands.
    fn work(&mut self, connection: &Connection) -> bool;
    /// The transaction stands: the bytes stay.
    fn keep(&mut self);
    /// Does what is left, and answers.
    fn finish(self: Box<Self>, store: &Directory, committed: &Result<()>);
}

struct Change<T, W> {
    file: Option<IncomingFile>,
    work: Option<W>,
    result: Result<(T, Vec<Chore>)>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, W> Member for Change<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> Result<(T, Vec<Chore>)> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn has_file(&self) -> bool {
        self.file.is_some()
    }

    fn work(&mut self, connection: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.result = work(connection);
        }
        self.result.is_ok()
    }

    fn keep(&mut self) {
        if let (Some(file), Ok(_)) = (self.file.take(), &self.result) {
            file.keep();
        }
    }

    fn finish(self: Box<Self>, store: &Directory, committed: &Result<()>) {
        let result = match (self.result, committed) {
            (Ok((value, chores)), Ok(())) => {
                store.do_chores(&chores);
                Ok(value)
            }
            (Ok(_), Err(error)) => Err(Error::Commit(error.to_string())),
            (Err(error), _) => Err(error),
        };
        // Who waited may have left just now.
        let _ = self.answer.send(result);
    }
}

impl Directory {
    /// Makes a change of the index, durable when this returns; with the bytes of `file`, which lie on the disk already, and
    /// the chores that it leaves done.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        file: Option<IncomingFile>,
        work: impl FnOnce(&Connection) -> Result<(T, Vec<Chore>)> + Send + 'static,
    ) -> Result<T> {
        let (answer, mut answered) = oneshot::channel();
        let change = Change { file, work: Some(work), result: Err(Error::Stopping), answer };
        self.group.waiting().push_back(Box::new(change));
        let store = Arc::clone(self);
        self.at_home(async move {
            loop {
                let turn = pin!(Arc::clone(&store.group.turn).lock_owned());
                let turn = match select(&mut answered, turn).await {
                    Either::Left((answer, _)) => return answer.unwrap_or(Err(Error::Stopping)),
                    Either::Right((turn, _)) => turn,
                };
                let store = Arc::clone(&store);
                // The turn goes along: the group is committed though who leads it may leave.
                let job = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    store.commit_group();
                });
                job.await.map_err(stopping)?;
            }
        })
        .await
    }

    fn commit_group(&self) {
        let mut members = self.group.next();
        if members.is_empty() {
            return;
        }
        let has_files = members.iter().any(|member| member.has_file());
        let names = if has_files { self.sync_incoming() } else { Ok(()) };
        let committed = names.and_then(|()| {
            self.index.write(|transaction| {
                for member in &mut members {
                    transaction.execute_batch("SAVEPOINT member")?;
                    let undo = if member.work(transaction) { "" } else { "ROLLBACK TO member;" };
                    transaction.execute_batch(&format!("{undo}RELEASE member"))?;
                }
                Ok(())
            })
        });
        if committed.is_ok() {
            members.iter_mut().for_each(|member| member.keep());
        }
        for member in members {
            member.finish(self, &committed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::index::buckets::{self, BucketRecord};

    fn bucket(name: &str) -> BucketRecord {
        BucketRecord { name: name.to_owned(), created_ms: 0, location: String::new() }
    }

    /// A change that makes two buckets, and is refused when the second is taken.
    async fn create(store: &Arc<Directory>, first: String, second: String) -> Result<()> {
        let work = move |connection: &Connection| {
            buckets::create(connection, &bucket(&first))?;
            buckets::create(connection, &bucket(&second))?;
            Ok(((), Vec::new()))
        };
        store.change(None, work).await
    }

    #[tokio::test]
    async fn one_that_is_refused_leaves_the_others_and_no_half_of_itself() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Directory::open(scratch.path()).unwrap();
        // Nobody commits until all wait: the first two groups have all but the rest.
        let turn = Arc::clone(&store.group.turn).lock_owned().await;
        let changes = (0..GROUP_MAX + 6).map(|number| {
            let second = if number % 10 == 9 { "b-0".to_owned() } else { format!("b-{number}") };
            create(&store, format!("a-{number}"), second)
        });
        let waiting = async {
            while store.group.waiting().len() < GROUP_MAX + 6 {
                tokio::task::yield_now().await;
            }
            drop(turn);
        };
        let (results, ()) = tokio::join!(join_all(changes), waiting);
        for (number, result) in results.into_iter().enumerate() {
            let is_there = buckets_of(&store).contains(&format!("a-{number}"));
            assert_eq!((result.is_ok(), is_there), (number % 10 != 9, number % 10 != 9), "{number}");
        }
    }

    fn buckets_of(store: &Directory) -> Vec<String> {
        let all = store.index.read(buckets::all).unwrap();
        all.into_iter().map(|bucket| bucket.name).collect()
    }

    #[tokio::test]
    async fn one_whose_client_left_is_not_made_later() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Directory::open(scratch.path()).unwrap();
        let turn = Arc::clone(&store.group.turn).lock_owned().await;
        let left = create(&store, "left-1".into(), "left-2".into());
        assert!(futures_util::poll!(Box::pin(left)).is_pending());
        drop(turn);
        create(&store, "stays-1".into(), "stays-2".into()).await.unwrap();
        assert_eq!(buckets_of(&store), ["stays-1", "stays-2"]);
    }
}
