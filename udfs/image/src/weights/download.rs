//! Fetching one file, in as many pieces as the network makes of it.
//!
//! Bytes go to `<name>.partial`; which version of the file they belong to (its size, and the
//! server's `ETag` or the time of its last change) is written beside it before the first of them.
//! An interrupted download goes on where it ended if the server still has that version, and starts
//! anew otherwise. The caller holds the file's lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};
use tokio::time::timeout;

use super::access::{Progress, Stage, WeightsAccess};
use super::url::WeightsUrl;
use crate::cancel;

/// Largest file that is fetched; VGG16 with its classifier has 0.5 GB.
const MOST_BYTES: u64 = 8 << 30;
/// Most characters of a server's answer in a message.
const MOST_ANSWER: usize = 200;

/// What a download puts up with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Failures in a row, without a byte in between.
    pub(super) failures: u32,
    /// Pause after the first of them, doubled after each further one.
    pub(super) pause: Duration,
    /// Longest time without a byte.
    pub(super) stall: Duration,
    /// Times the file may change on the server while it is fetched.
    pub(super) changes: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            failures: 4,
            pause: Duration::from_millis(500),
            stall: Duration::from_secs(60),
            changes: 3,
        }
    }
}

/// What tells one version of a remote file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) size: u64,
    /// `etag` or `modified` and its value; `None` if the server tells neither.
    pub(super) validator: Option<String>,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        let modified = meta.last_modified;
        let validator = match &meta.e_tag {
            Some(e_tag) => Some(format!("etag {e_tag}")),
            // Stores put the epoch where there is no such header.
            None if modified.timestamp() == 0 => None,
            None => Some(format!("modified {}", modified.to_rfc3339())),
        };
        let size = meta.size;
        Self { size, validator }
    }

    fn e_tag(&self) -> Option<&str> {
        self.validator.as_ref()?.strip_prefix("etag ")
    }

    /// Reads what [`write`](Self::write) wrote; `None` if there is nothing of the sort.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (size, validator) = text.strip_suffix('\n')?.split_once('\n')?;
        let size = size.strip_prefix("size ")?.parse().ok()?;
        let validator = (validator != "unversioned").then(|| validator.to_owned());
        Some(Self { size, validator })
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let validator = self.validator.as_deref().unwrap_or("unversioned");
        write_whole(path, &format!("size {}\n{validator}\n", self.size))
    }
}

/// The bytes that have arrived so far.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) bytes: PathBuf,
    pub(super) version: PathBuf,
}

impl Partial {
    /// Length and version of bytes that can be gone on from. Removes what cannot.
    fn resumable(&self) -> io::Result<Option<(u64, Version)>> {
        let length = match fs::metadata(&self.bytes) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        match Version::read(&self.version) {
            Some(version)
                if length > 0 && length <= version.size && version.validator.is_some() =>
            {
                Ok(Some((length, version)))
            }
            _ => self.discard().map(|()| None),
        }
    }

    pub(super) fn discard(&self) -> io::Result<()> {
        remove_if_there(&self.bytes)?;
        remove_if_there(&self.version)
    }
}

/// Writes a small file that is never seen half written.
pub(super) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Why a file could not be fetched.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server, or the way to it. Nothing secret is in the text.
    Remote(String),
    /// This machine's disk.
    Local(io::Error),
    /// There is no way to ask for the file.
    Access(crate::error::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Local(error)
    }
}

/// Fetches the file at `url` into `partial`, whole, and gives its version.
pub(super) fn fetch(
    url: &WeightsUrl,
    name: &str,
    partial: &Partial,
    access: &WeightsAccess,
    patience: Patience,
) -> Result<Version, Failure> {
    on_own_runtime(async {
        let stores = access.stores();
        let (store, path) = stores.locate(url).await.map_err(Failure::Access)?;
        let download = Download {
            url,
            name,
            partial,
            access,
            patience,
            store,
            path,
        };
        download.run().await
    })
}

/// Whether the server still has the version `known`.
pub(super) fn is_current(
    url: &WeightsUrl,
    known: &Version,
    access: &WeightsAccess,
    patience: Patience,
) -> Result<bool, Failure> {
    on_own_runtime(async {
        let stores = access.stores();
        let (store, path) = stores.locate(url).await.map_err(Failure::Access)?;
        let options = GetOptions::new().with_if_none_match(known.e_tag());
        let answer = timeout(patience.stall, store.get_opts(&path, options)).await;
        match answer {
            Err(_) => Err(Failure::Remote(no_answer(patience))),
            Ok(Err(object_store::Error::NotModified { .. })) => Ok(true),
            Ok(Err(error)) => Err(Failure::Remote(url.redact(&describe(&error)))),
            // A server that ignores conditions; the body is not read.
            Ok(Ok(result)) => Ok(known.validator.is_some() && Version::of(&result.meta) == *known),
        }
    })
}

/// Runs on a thread and a runtime of its own: functions are called on the threads of a runtime,
/// which must not be blocked on, and a server must not wait for the network that computes. The work is
/// dropped when the current token of the caller's thread is triggered.
fn on_own_runtime<T: Send>(
    work: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    let cancel = cancel::current();
    let cancelled = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(cancel::POLL).await;
        }
    };
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = work => outcome,
                () = cancelled => Err(Failure::Remote("the download was cancelled".to_owned())),
            }
        });
        // Otherwise it would wait until a name server answers.
        runtime.shutdown_background();
        outcome
    };
    let outcome = std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("featurize-weights".to_owned());
        Ok::<_, io::Error>(builder.spawn_scoped(scope, run)?.join())
    });
    outcome?.unwrap_or_else(|_| {
        Err(Failure::Remote(
            "the download gave up (it panicked)".to_owned(),
        ))
    })
}

struct Download<'a> {
    url: &'a WeightsUrl,
    name: &'a str,
    partial: &'a Partial,
    access: &'a WeightsAccess,
    patience: Patience,
    store: Arc<dyn ObjectStore>,
    path: object_store::path::Path,
}

/// How one request ended, if not well.
enum Setback {
    Fatal(Failure),
    /// The bytes so far are of no use.
    StartAnew(String),
    /// It may be better next time.
    Again {
        why: String,
        progress: bool,
    },
}

impl From<io::Error> for Setback {
    fn from(error: io::Error) -> Self {
        Self::Fatal(Failure::Local(error))
    }
}

impl Download<'_> {
    async fn run(&self) -> Result<Version, Failure> {
        let (mut failures, mut changes) = (0, 0);
        loop {
            let so_far = self.partial.resumable()?;
            if let Some((length, version)) = &so_far
                && *length == version.size
            {
                return Ok(version.clone());
            }
            match self.request(so_far).await {
                Ok(version) => return Ok(version),
                Err(Setback::Fatal(failure)) => return Err(failure),
                Err(Setback::StartAnew(why)) => {
                    log::info!("{}: starting anew: {why}", self.name);
                    self.partial.discard()?;
                    changes += 1;
                    if changes > self.patience.changes {
                        return Err(Failure::Remote(why));
                    }
                }
                Err(Setback::Again { why, progress }) => {
                    failures = if progress { 1 } else { failures + 1 };
                    if failures >= self.patience.failures {
                        return Err(Failure::Remote(why));
                    }
                    log::info!("{}: trying again: {why}", self.name);
                    let pause = self.patience.pause * 2_u32.saturating_pow(failures - 1);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Asks for all bytes that are missing and writes what comes.
    async fn request(&self, so_far: Option<(u64, Version)>) -> Result<Version, Setback> {
        let offset = so_far.as_ref().map_or(0, |(length, _)| *length);
        let mut options = GetOptions::new();
        if offset > 0 {
            options = options.with_range(Some(GetRange::Offset(offset)));
        }
        let answer = timeout(
            self.patience.stall,
            self.store.get_opts(&self.path, options),
        )
        .await;
        let result = match answer {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => return Err(self.refused(&error, offset > 0)),
            Err(_) => {
                let why = no_answer(self.patience);
                let progress = false;
                return Err(Setback::Again { why, progress });
            }
        };
        let version = Version::of(&result.meta);
        match so_far {
            Some((_, known)) if version != known || result.range.start != offset => {
                let why = "the file on the server has changed".to_owned();
                return Err(Setback::StartAnew(why));
            }
            Some(_) => {}
            None => {
                if version.size > MOST_BYTES {
                    return Err(Setback::Fatal(Failure::Remote(format!(
                        "the file has {} bytes, more than weights may have ({MOST_BYTES})",
                        version.size
                    ))));
                }
                version.write(&self.partial.version)?;
            }
        }
        self.receive(result, offset, &version).await?;
        Ok(version)
    }

    async fn receive(
        &self,
        result: GetResult,
        offset: u64,
        version: &Version,
    ) -> Result<(), Setback> {
        let mut file = open(&self.partial.bytes, offset)?;
        let mut received = offset;
        let mut stream = result.into_stream();
        self.report(received, version.size);
        while received < version.size {
            let why = match timeout(self.patience.stall, stream.next()).await {
                Ok(Some(Ok(bytes))) => {
                    received += bytes.len() as u64;
                    if received > version.size {
                        let why = format!("the server sent more than {} bytes", version.size);
                        return Err(Setback::StartAnew(why));
                    }
                    file.write_all(&bytes)?;
                    self.report(received, version.size);
                    continue;
                }
                Ok(Some(Err(error))) => self.url.redact(&describe(&error)),
                Ok(None) => "the connection was closed".to_owned(),
                Err(_) => no_answer(self.patience),
            };
            file.flush()?;
            return Err(Setback::Again {
                why: format!("{why}, after {received} of {} bytes", version.size),
                progress: received > offset,
            });
        }
        // On disk before it is called whole.
        file.sync_all()?;
        Ok(())
    }

    /// What to make of a request that was not answered by the file.
    fn refused(&self, error: &object_store::Error, with_range: bool) -> Setback {
        use object_store::Error;

        let why = self.url.redact(&describe(error));
        let progress = false;
        match error {
            Error::NotFound { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => Setback::Fatal(Failure::Remote(why)),
            _ if is_transport(error) => Setback::Again { why, progress },
            _ => match status(error) {
                Some(408 | 429 | 500..) => Setback::Again { why, progress },
                // The server knows no ranges, or the file has become shorter.
                None | Some(416) if with_range => Setback::StartAnew(why),
                _ => Setback::Fatal(Failure::Remote(why)),
            },
        }
    }

    fn report(&self, received: u64, size: u64) {
        self.access.report(&Progress {
            file: self.name,
            received,
            size,
            stage: Stage::Receiving,
        });
    }
}

/// Opens the file of partial bytes, to go on at its end or to begin.
fn open(path: &Path, offset: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    if offset > 0 {
        options.append(true).open(path)
    } else {
        options.write(true).create(true).truncate(true).open(path)
    }
}

fn no_answer(patience: Patience) -> String {
    format!("nothing arrived for {:?}", patience.stall)
}

/// The errors behind an error, outermost first.
fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

/// The text of an error of the connection in every store that speaks HTTP; the type is compiled in
/// only with them.
const TRANSPORT: &str = "HTTP error: ";

/// Whether the connection failed, and not what was asked over it.
fn is_transport(error: &object_store::Error) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with(TRANSPORT))
}

/// The text before the status in the errors of every store that speaks HTTP.
const STATUS: &str = "Server returned non-2xx status code: ";

fn status(error: &object_store::Error) -> Option<u16> {
    causes(error).find_map(|cause| {
        let text = cause.to_string();
        let status = text.strip_prefix(STATUS)?;
        status.split(' ').next()?.trim_end_matches(':').parse().ok()
    })
}

/// What is wrong, without the address, which the outer errors of a store contain.
fn describe(error: &object_store::Error) -> String {
    use object_store::Error;

    let innermost = causes(error).last().map(ToString::to_string);
    let text = innermost.unwrap_or_default();
    let text = text.strip_prefix(STATUS).map_or_else(
        || text.clone(),
        |status| {
            format!(
                "the server answered {}",
                status.trim_end_matches([':', ' '])
            )
        },
    );
    let first_line = text.lines().next().unwrap_or_default();
    let short: String = first_line.chars().take(MOST_ANSWER).collect();
    match error {
        Error::NotFound { .. } => "the server does not have it (404 Not Found)".to_owned(),
        Error::PermissionDenied { .. } => "the server denies access (403 Forbidden)".to_owned(),
        Error::Unauthenticated { .. } => {
            "the server asks for credentials (401 Unauthorized)".to_owned()
        }
        _ => short,
    }
}

#[cfg(test)]
mod tests;
