//! The paths of one file in the weights folder: how it is checked, installed and locked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::cached::Verdict;
use super::digest::Digests;
use super::download::{Partial, Version, remove_if_there, write_whole};
use crate::cancel;
use crate::error::{Error, Result};

/// Whether a file is there, its version and its recorded SHA-256.
pub(super) type State = (bool, Option<Version>, Option<String>);

/// The paths that belong to one file.
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) record: PathBuf,
    pub(super) version: PathBuf,
    pub(super) lock: PathBuf,
    pub(super) partial: Partial,
}

impl Place {
    /// What changes when another process installs a file.
    pub(super) fn state(&self) -> State {
        let version = Version::read(&self.version);
        (self.file.is_file(), version, self.recorded())
    }

    /// The recorded SHA-256.
    pub(super) fn recorded(&self) -> Option<String> {
        let text = fs::read_to_string(&self.record).ok()?;
        text.split_whitespace().next().map(str::to_owned)
    }

    /// Compares the file with its record, and gives its SHA-256.
    pub(super) fn check(&self, md5: Option<&str>) -> Result<(Verdict, String)> {
        let digests = Digests::of_file(&self.file, md5.is_some())
            .map_err(|error| unreadable(&self.file, &error))?;
        let recorded = self.recorded();
        let verdict = match (&recorded, md5) {
            (Some(recorded), _) if *recorded != digests.sha256 => Verdict::Damaged(format!(
                "it has SHA-256 {}, recorded was {recorded}",
                digests.sha256
            )),
            (_, Some(md5)) if md5 != digests.md5 => {
                Verdict::Damaged(format!("it has MD5 {}, expected {md5}", digests.md5))
            }
            (None, None) => Verdict::Unrecorded,
            _ => Verdict::Intact,
        };
        Ok((verdict, digests.sha256))
    }

    /// Makes the partial file, which is whole and on disk, the file. A crash at any point leaves
    /// a whole file or none: the records of the old one go before it does, those of the new one
    /// come after it.
    pub(super) fn install(&self, version: &Version, digests: &Digests) -> io::Result<()> {
        remove_if_there(&self.record)?;
        remove_if_there(&self.version)?;
        fs::rename(&self.partial.bytes, &self.file)?;
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        write_whole(&self.record, &format!("{}  {name}\n", digests.sha256))?;
        version.write(&self.version)?;
        remove_if_there(&self.partial.version)?;
        // The names too survive a power failure, where a folder can be told so.
        if let Some(folder) = self.file.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Removes the file and its records.
    pub(super) fn discard(&self) -> io::Result<()> {
        remove_if_there(&self.record)?;
        remove_if_there(&self.version)?;
        remove_if_there(&self.file)
    }
}

/// Locks a file, which is made if need be, until the result is dropped or the process ends. Waits for it
/// until the current token of [`cancel`] is triggered, which is an error.
pub(super) fn lock(path: &Path, on_wait: impl FnOnce()) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let cancel = cancel::current();
    let mut on_wait = Some(on_wait);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                cancel.check().map_err(io::Error::other)?;
                std::thread::sleep(cancel::POLL);
            }
        }
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Configuration(format!("{} cannot be read: {error}", path.display()))
}
