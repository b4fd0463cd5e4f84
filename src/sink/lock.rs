//! One writer a target: `_temporary/_LOCK`, an object that only one of several can create.
//!
//! A lock outlives the program that is killed. It counts as abandoned when the program is known to
//! have ended (same machine, seen in `/proc`), or when nobody has renewed it for a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::capabilities::{Capability, is_known, remember};
use super::manifest::{json, parse_json, run_id};
use super::target::Target;
use crate::object_stores::errors::is_unknown_request;

/// How often a lock is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(10);
/// Without renewal for so long, the lock is abandoned.
pub(super) const ABANDONED_AFTER: Duration = Duration::from_secs(60);
/// In a store without conditional writes, a run that has written the lock has it if nobody else has
/// written it after so long …
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// … and one that took so long to look for a lock and to write its own gives way.
const LONGEST_PUT: Duration = Duration::from_secs(1);
/// Times that a lock which others are just creating or removing is tried for.
const ATTEMPTS: usize = 5;

/// What the object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockFile {
    #[serde(with = "run_id")]
    run: Uuid,
    /// In words.
    since: String,
    /// The program, where the run is one program's.
    process: Option<Process>,
}

/// A program of this machine, not to be mistaken for a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    boot: String,
    namespace: String,
    pid: u32,
    started: u64,
}

impl Process {
    /// This program; `None` on systems without `/proc`.
    fn current() -> Option<Self> {
        let pid = std::process::id();
        Some(Self {
            boot: read("/proc/sys/kernel/random/boot_id")?,
            namespace: namespace()?,
            pid,
            started: start_of(pid)?,
        })
    }

    /// Whether it has ended; `None` if that cannot be seen from here.
    fn has_ended(&self) -> Option<bool> {
        let here = Self::current()?;
        if self.boot != here.boot || self.namespace != here.namespace {
            return None;
        }
        Some(start_of(self.pid) != Some(self.started))
    }
}

fn read(file: &str) -> Option<String> {
    Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
}

fn namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// When a program began, in ticks since the machine did. A killed program that its parent has not
/// looked after yet has ended.
fn start_of(pid: u32) -> Option<u64> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses, and may hold any character.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // Field 22 counted from the pid; the state, which has just been taken, is field 3.
    fields.nth(18)?.parse().ok()
}

/// The right to write to a target.
#[derive(Debug)]
pub(super) struct Lock {
    file: LockFile,
    is_first: bool,
}

impl Lock {
    pub(super) fn run(&self) -> Uuid {
        self.file.run
    }

    /// Whether this has created the lock, rather than found that its run has it already.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Takes the lock of `target` for `run`, or finds that the run has it already (another task of
    /// it, perhaps on another machine).
    ///
    /// `is_live` tells of a run of this very program whether it still goes on; `one_process` is
    /// false for runs whose tasks are spread over several programs.
    ///
    /// # Errors
    /// When another run has it, or the store refuses.
    pub(super) async fn acquire(
        shared: &Arc<dyn ObjectStore>,
        target: &Target,
        run: Uuid,
        one_process: bool,
        is_live: impl Fn(Uuid) -> bool,
    ) -> Result<Self> {
        let store = shared.as_ref();
        let mut lock = Self {
            is_first: true,
            file: LockFile {
                run,
                since: Utc::now().format("%Y-%m-%d %H:%M:%S UTC").to_string(),
                process: if one_process {
                    Process::current()
                } else {
                    None
                },
            },
        };
        let path = target.lock();
        for _ in 0..ATTEMPTS {
            if lock.create(shared, target).await? {
                return Ok(lock);
            }
            let Some((file, renewed)) = find(store, target).await? else {
                continue; // Its owner has just removed it.
            };
            match file {
                Some(file) if file.run == run => {
                    lock.is_first = false;
                    return Ok(lock);
                }
                Some(file) if !is_abandoned(&file, is_live(file.run)) => {
                    let Some(now) = now(store, target, run).await? else {
                        continue; // The other run has just ended.
                    };
                    let silent = now - renewed;
                    let left = TimeDelta::from_std(ABANDONED_AFTER).unwrap_or_default() - silent;
                    if left > TimeDelta::zero() {
                        return exec_err!(
                            "'{target}' is being written by another run ({}, since {}, last sign \
                             of life {} s ago); wait for it to end. Should its machine be dead: \
                             run this again in {} s, or remove _temporary/_LOCK below it by hand",
                            describe(&file),
                            file.since,
                            silent.num_seconds().max(0),
                            left.num_seconds() + 1
                        );
                    }
                    log::warn!("{target}: takes over the lock of {}", describe(&file));
                }
                Some(file) => log::info!("{target}: takes over the lock of {}", describe(&file)),
                // The machine crashed before the content had reached the disk.
                None => log::warn!("{target}: replaces an empty lock"),
            }
            match store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        exec_err!("'{target}': several runs compete for '{path}'; run this again")
    }

    /// True if the lock has been created.
    async fn create(&self, store: &Arc<dyn ObjectStore>, target: &Target) -> Result<bool> {
        if is_known(store, Capability::NoConditionalPut) {
            return self.create_plainly(store.as_ref(), target).await;
        }
        let path = target.lock();
        let options = PutOptions::from(PutMode::Create);
        let lock = json(&self.file)?.into();
        match store.put_opts(&path, lock, options).await {
            Ok(_) => self.is_held(store.as_ref(), target).await,
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(e) if is_unknown_request(&e) => {
                let created = self.create_plainly(store.as_ref(), target).await?;
                // It was the condition that the store did not take, for it takes the rest.
                remember(store, Capability::NoConditionalPut);
                Ok(created)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// The same in a store without conditional writes, where the last to write has the lock.
    async fn create_plainly(&self, store: &dyn ObjectStore, target: &Target) -> Result<bool> {
        let begun = Instant::now();
        if find(store, target).await?.is_some() {
            return Ok(false);
        }
        store.put(&target.lock(), json(&self.file)?.into()).await?;
        if begun.elapsed() > LONGEST_PUT {
            // Another run may have seen no lock, written its own and waited, all before this one.
            self.release(store, target).await?;
            return Ok(false);
        }
        tokio::time::sleep(SETTLED_AFTER).await;
        self.is_held(store, target).await
    }

    async fn is_held(&self, store: &dyn ObjectStore, target: &Target) -> Result<bool> {
        let found = find(store, target).await?;
        Ok(matches!(found, Some((Some(file), _)) if file.run == self.file.run))
    }

    /// # Errors
    /// When another run has taken the lock over, because this one was silent for too long.
    pub(super) async fn verify(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        if self.is_held(store, target).await? {
            return Ok(());
        }
        exec_err!(
            "'{target}': another run has taken over '{}' while this one gave no sign of life; \
             nothing of this run has been committed. Run it again when the other has ended",
            target.lock()
        )
    }

    /// Shows that the run is alive.
    pub(super) async fn renew(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        self.verify(store, target).await?;
        store
            .put(&target.lock(), json(&self.file)?.into())
            .await
            .map_err(|e| exec_datafusion_err!("'{target}': could not renew the lock: {e}"))?;
        Ok(())
    }

    /// Lets others write.
    pub(super) async fn release(&self, store: &dyn ObjectStore, target: &Target) -> Result<()> {
        if self.is_held(store, target).await? {
            store.delete(&target.lock()).await?;
        }
        Ok(())
    }
}

fn is_abandoned(file: &LockFile, is_live_here: bool) -> bool {
    let Some(process) = &file.process else {
        return false;
    };
    if Process::current().as_ref() == Some(process) {
        return !is_live_here;
    }
    process.has_ended() == Some(true)
}

fn describe(file: &LockFile) -> String {
    match &file.process {
        Some(process) => format!("run {}, process {}", file.run, process.pid),
        None => format!("run {}", file.run),
    }
}

/// The lock and when it was written last; the inner `None` is an empty one.
async fn find(
    store: &dyn ObjectStore,
    target: &Target,
) -> Result<Option<(Option<LockFile>, DateTime<Utc>)>> {
    let path = target.lock();
    match store.get(&path).await {
        Ok(found) => {
            let renewed = found.meta.last_modified;
            Ok(Some((parse_json(&found.bytes().await?, &path)?, renewed)))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The store's clock, which need not be this machine's; `None` if another run, which cleans up when it ends,
/// has removed the object that tells it.
async fn now(store: &dyn ObjectStore, target: &Target, run: Uuid) -> Result<Option<DateTime<Utc>>> {
    let probe = target.run_folder(run).join("clock");
    let told = async {
        store.put(&probe, "".into()).await?;
        let now = store.head(&probe).await?.last_modified;
        store.delete(&probe).await?;
        Ok(now)
    };
    match told.await {
        Ok(now) => Ok(Some(now)),
        Err(e) if is_missing(&e) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Whether an object is not there, or its folder, which on the local disk may go while the object is given
/// its name.
fn is_missing(error: &object_store::Error) -> bool {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<std::io::Error>() {
            return e.kind() == std::io::ErrorKind::NotFound;
        }
        cause = e.source();
    }
    false
}

/// Renews a lock until it is dropped.
pub(super) type Heartbeat = SpawnedTask<()>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_runs_and_another_has_ended() {
        let Some(here) = Process::current() else {
            return; // No /proc.
        };
        assert_eq!(here.has_ended(), Some(false));
        let earlier = Process {
            started: here.started.wrapping_add(1),
            ..here.clone()
        };
        assert_eq!(earlier.has_ended(), Some(true));
        let elsewhere = Process {
            boot: "another".to_owned(),
            ..here
        };
        assert_eq!(elsewhere.has_ended(), None);
    }
}
