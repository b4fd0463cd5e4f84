//! The end of a run: what its parts make of the folder.

use std::sync::atomic::Ordering;

use datafusion::common::{Result, exec_err};
use object_store::ObjectStoreExt;
use uuid::Uuid;

use super::clear::remove_run;
use super::closed::Closed;
use super::journal::{Direction, Journal, sync_folder};
use super::links::refuse_linked_folders;
use super::manifest::{Manifest, Part};
use super::options::WriteMode;
use super::run::{Found, Run};
use super::spec::{WriteSpec, is_part_name, part_name};
use super::target::DataFile;
use super::vectors::schema_without_rows;
use crate::NOTICE;

impl Run {
    /// Commits the parts of all partitions; returns their rows.
    ///
    /// # Errors
    /// When a step of the commit fails: see [`Journal::commit`].
    pub(super) async fn finish(&self, mut closed: Vec<Closed>) -> Result<u64> {
        if self.spec.write_mode != WriteMode::Append && closed.is_empty() {
            // Readers get the columns from a part, even if there are no rows.
            let name = part_name(0, Uuid::now_v7(), 0, &self.spec.extension);
            let schema = schema_without_rows(self.spec.vectors, &self.spec.schema)?;
            let empty = self.open(&name, &schema, 1)?;
            closed.push(self.close_now(name, 0, empty).await?);
        }
        let rows = closed.iter().filter_map(|closed| closed.part.rows).sum();
        if self.spec.target.is_file() {
            self.tell(rows);
            return Ok(rows);
        }
        self.verify_lock().await?;
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let earlier = match self.one_process {
            true => None,
            false => Journal::finish_earlier(store, target, self.spec.run).await?,
        };
        if earlier.is_none() {
            self.commit_folder(closed).await?;
            self.tell(rows);
        }
        self.end().await;
        Ok(earlier.unwrap_or(rows))
    }

    /// Tells what became of data that was there, where the statement does not say.
    fn tell(&self, rows: u64) {
        let target = &self.spec.target;
        match self.had_files.load(Ordering::Relaxed) {
            0 => {}
            _ if target.is_file() => log::warn!(
                target: NOTICE,
                "'{target}' was there and has been replaced; to keep what is there, say OPTIONS \
                 ('write_mode' 'error_if_exists')"
            ),
            files => log::warn!(
                target: NOTICE,
                "'{target}' held data already, and {rows} rows have been appended to its {files} \
                 files; to replace what is there, say OPTIONS ('write_mode' 'overwrite')"
            ),
        }
    }

    async fn commit_folder(&self, closed: Vec<Closed>) -> Result<()> {
        if let Some(expected) = self.spec.num_files
            && expected != closed.len()
        {
            return exec_err!(
                "'{}': 'num_files' is {expected}, but {} parts have been written; the query was \
                 cut into more tasks than one",
                self.spec.target,
                closed.len()
            );
        }
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let found = match self.opened.get() {
            Some(found) => found.clone(),
            None => self.look().await?,
        };
        let is_append = self.spec.write_mode == WriteMode::Append;
        let has_any = found.had_success || found.manifest.is_some();
        let keeps_manifest = found.manifest.as_ref().is_some_and(|m| m.on_request);
        let leaves = Leaves {
            success: self.spec.success_file.unwrap_or(!is_append || has_any),
            manifest: self.spec.manifest.unwrap_or(is_append && keeps_manifest),
        };
        let all_visible = closed.iter().all(|closed| closed.visible);
        if is_append && all_visible && !has_any && !leaves.success && !leaves.manifest {
            sync_folder(target).await?;
            return remove_run(store, target, self.spec.run).await;
        }
        let journal = self.journal(closed, found, leaves).await?;
        journal.commit(store, target, !self.one_process).await
    }

    async fn journal(&self, closed: Vec<Closed>, found: Found, leaves: Leaves) -> Result<Journal> {
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let (mut parts, mut staged) = (vec![], vec![]);
        for closed in closed {
            if !closed.visible {
                staged.push(closed.part.clone());
            }
            parts.push(closed.part);
        }
        let is_new = |name: &str| parts.iter().any(|part| part.path == name);
        let mut old = match self.spec.write_mode {
            WriteMode::ErrorIfExists => target.visible_files(store).await?,
            _ => target.data_files(store).await?,
        };
        old.retain(|file| !is_new(&file.name));
        let mut old_manifest = found.manifest;
        match self.spec.write_mode {
            WriteMode::ErrorIfExists if let Some(file) = old.first() => {
                return exec_err!(
                    "'{target}': another program has written '{}' while this query ran; its data \
                     is left alone. Choose another target, or say OPTIONS ('write_mode' \
                     'overwrite')",
                    file.name
                );
            }
            WriteMode::ErrorIfExists => {}
            WriteMode::Overwrite => {
                // Once more, for the query may have taken long.
                refuse_linked_folders(target, old.iter().map(|file| file.name.as_str()))?;
                let described = old_manifest.as_ref().is_some_and(|m| m.names(&old));
                if !described && !old.is_empty() {
                    // So that there is no moment at which no manifest tells old from new.
                    old_manifest = Some(self.describe(&old, old_manifest).await?);
                }
            }
            WriteMode::Append => {
                parts.splice(0..0, parts_of(&old, old_manifest.as_ref()));
                old.clear();
            }
        }
        Ok(Journal {
            run: self.spec.run,
            direction: Direction::Commit,
            staged,
            old,
            had_success: found.had_success,
            success: leaves.success,
            old_manifest,
            manifest: Manifest::new(&self.spec, parts, leaves.manifest),
        })
    }

    /// What the folder says of itself, before this run changes it.
    pub(super) async fn look(&self) -> Result<Found> {
        let (store, target) = (self.store.as_ref(), &self.spec.target);
        let manifest = Manifest::read(store, &target.manifest()).await?;
        let had_success = match store.head(&target.success()).await {
            Ok(found) => manifest.is_some() || self.is_ours(found.size).await?,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(e) => return Err(e.into()),
        };
        Ok(Found {
            manifest,
            had_success,
        })
    }

    /// Whether a `_SUCCESS` of so many bytes is this run's to remove: one in a folder that the
    /// statement names for it, or one of this crate, which lies beside nothing but our parts.
    async fn is_ours(&self, bytes: u64) -> Result<bool> {
        let WriteSpec { target, .. } = self.spec.as_ref();
        if self.spec.write_mode != WriteMode::Append || self.spec.success_file == Some(true) {
            return Ok(true);
        }
        if bytes > 0 {
            return Ok(false);
        }
        let files = target.data_files(self.store.as_ref()).await?;
        Ok(!files.is_empty() && files.iter().all(|file| is_part_name(&file.name)))
    }

    /// Writes a manifest of the parts that are there, for as long as a listing does not tell what
    /// belongs together.
    pub(super) async fn describe(
        &self,
        files: &[DataFile],
        known: Option<Manifest>,
    ) -> Result<Manifest> {
        let on_request = known.as_ref().is_some_and(|known| known.on_request);
        let parts = parts_of(files, known.as_ref());
        let manifest = Manifest::new(&self.spec, parts, on_request);
        let path = self.spec.target.manifest();
        manifest.write(self.store.as_ref(), &path).await?;
        Ok(manifest)
    }
}

/// What a run leaves beside the parts.
#[derive(Debug, Clone, Copy)]
struct Leaves {
    success: bool,
    manifest: bool,
}

/// The files as parts, with the rows that a manifest knows.
fn parts_of(files: &[DataFile], known: Option<&Manifest>) -> Vec<Part> {
    let known = known.map_or(&[][..], |manifest| &manifest.parts);
    let rows_of = |name: &str| known.iter().find(|part| part.path == name)?.rows;
    let part = |file: &DataFile| Part {
        path: file.name.clone(),
        rows: rows_of(&file.name),
        bytes: file.bytes,
    };
    files.iter().map(part).collect()
}
