//! Where a statement writes: a folder with its hidden files, or one file.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::place::is_everything;

/// The empty file that tells a reader of the folder that it is complete.
pub const SUCCESS: &str = "_SUCCESS";
/// What the folder is made of, in JSON.
pub const MANIFEST: &str = "_MANIFEST.json";

/// Everything that is not for readers lies below this folder, where readers do not look.
const TEMPORARY: &str = "_temporary";
/// Names of a run's folder begin so; the rest is the run's id.
const RUN_PREFIX: &str = "featurize-";
const LOCK: &str = "_LOCK";
const JOURNAL: &str = "_COMMIT.json";
/// An empty file, followed by the rows of the run: some readers fail at any file that is neither empty
/// nor of their format, wherever it lies below the folder.
const COMMITTED: &str = "_COMMITTED_";
/// Appended to the names of staged parts, so that even a reader that looks below hidden folders
/// does not take them for data.
const STAGED: &str = "staged";

/// Endings of compressed text.
const COMPRESSIONS: [&str; 5] = ["", ".gz", ".bz2", ".xz", ".zst"];

/// A folder, or a single file, of an object store. Plain data: the store is looked up by its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) store: ObjectStoreUrl,
    pub(super) path: Path,
    pub(super) is_file: bool,
    /// Ending of the format's files without compression, such as `csv`.
    pub(super) extension: String,
}

impl Target {
    /// The target of a sink. `extension` is that of the format, uncompressed.
    ///
    /// # Errors
    /// When the sink has no location.
    pub fn try_new(config: &FileSinkConfig, extension: &str) -> Result<Self> {
        let Some(url) = config.table_paths.first() else {
            return plan_err!("a table without LOCATION cannot be written to");
        };
        if let Some(pattern) = url.get_glob()
            && !is_everything(pattern.as_str())
        {
            // The folder before the pattern is not what the statement names.
            return plan_err!(
                "'{url}' with the pattern '{}' is what a table reads, and no place to write to; \
                 name a folder, with '/' at its end",
                pattern.as_str()
            );
        }
        Ok(Self {
            store: config.object_store_url.clone(),
            path: url.prefix().clone(),
            is_file: is_file(config, url),
            extension: extension.to_owned(),
        })
    }

    /// The store's URL, without a path.
    pub fn store(&self) -> &ObjectStoreUrl {
        &self.store
    }

    /// Path of the folder or file in its store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the target is one file rather than a folder of parts.
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// Whether the folder is all of its store: a bucket, or the root of the disk.
    pub fn is_root(&self) -> bool {
        !self.is_file && self.path.as_ref().is_empty()
    }

    /// Whether the target lies on the local disk, where a rename is atomic.
    pub fn is_local(&self) -> bool {
        self.store.as_str().starts_with("file:")
    }

    /// Whether an object of the same store is, or lies in, the target; on the local disk, also by
    /// way of a symbolic link.
    pub fn contains(&self, store: &ObjectStoreUrl, path: &Path) -> bool {
        if *store != self.store {
            return false;
        }
        let is_named = match self.is_file {
            true => *path == self.path,
            false => path.prefix_matches(&self.path),
        };
        if is_named {
            return true;
        }
        let (Some(path), Some(own)) = (self.real_path(path), self.real_path(&self.path)) else {
            return false;
        };
        match self.is_file {
            true => path == own,
            false => path.starts_with(own),
        }
    }

    /// An object of the folder, by its name relative to it.
    ///
    /// # Errors
    /// When the name is no path.
    pub fn object(&self, name: &str) -> Result<Path> {
        let text = match self.path.as_ref() {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        Path::parse(&text).map_err(|e| plan_datafusion_err!("'{self}': bad name '{name}': {e}"))
    }

    fn child<const N: usize>(&self, names: [&str; N]) -> Path {
        names
            .into_iter()
            .fold(self.path.clone(), |path, name| path.join(name))
    }

    pub(super) fn success(&self) -> Path {
        self.child([SUCCESS])
    }

    pub(super) fn manifest(&self) -> Path {
        self.child([MANIFEST])
    }

    pub(super) fn temporary(&self) -> Path {
        self.child([TEMPORARY])
    }

    pub(super) fn lock(&self) -> Path {
        self.child([TEMPORARY, LOCK])
    }

    pub(super) fn run_folder(&self, run: Uuid) -> Path {
        self.child([TEMPORARY, &format!("{RUN_PREFIX}{run}")])
    }

    pub(super) fn journal(&self, run: Uuid) -> Path {
        self.run_folder(run).join(JOURNAL)
    }

    /// Tells a task that is repeated that its run has been committed.
    pub(super) fn committed(&self, run: Uuid, rows: u64) -> Path {
        self.run_folder(run).join(format!("{COMMITTED}{rows}"))
    }

    /// The rows that the name of such an object tells.
    pub(super) fn committed_rows(path: &Path) -> Option<u64> {
        path.filename()?.strip_prefix(COMMITTED)?.parse().ok()
    }

    /// Where the part `name` of a run waits for its publication.
    pub(super) fn staged(&self, run: Uuid, name: &str) -> Path {
        self.run_folder(run).join(format!("{name}.{STAGED}"))
    }

    /// The run to which an object below `_temporary` belongs; `None` if other programs put it there.
    pub(super) fn run_of(&self, object: &Path) -> Option<Uuid> {
        let mut parts = object.prefix_match(&self.temporary())?;
        let folder = parts.next()?;
        Uuid::parse_str(folder.as_ref().strip_prefix(RUN_PREFIX)?).ok()
    }

    /// Folders of runs on the local disk, which `list` does not show when they hold nothing but
    /// unfinished files.
    pub(super) fn runs_on_disk(&self) -> Vec<Uuid> {
        let Some(Ok(entries)) = self.on_disk(&self.temporary()).map(std::fs::read_dir) else {
            return vec![];
        };
        entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                self.run_of(&self.temporary().join(name.to_str()?))
            })
            .collect()
    }

    /// Where a path of the target's store really lies, whatever links lead there; `None` for stores
    /// other than the local disk.
    pub(super) fn real_path(&self, path: &Path) -> Option<PathBuf> {
        self.on_disk(path).map(|path| resolve(&path))
    }

    /// The files that a reader of the table sees: those with the format's ending in the folder and
    /// in its `column=value` sub-folders, without hidden ones.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub(super) async fn data_files(&self, store: &dyn ObjectStore) -> Result<Vec<DataFile>> {
        let mut files = self.visible_files(store).await?;
        files.retain(|file| self.is_data_name(&file.name));
        Ok(files)
    }

    /// The same in any format.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub(super) async fn visible_files(&self, store: &dyn ObjectStore) -> Result<Vec<DataFile>> {
        let objects: Vec<ObjectMeta> = store.list(Some(&self.path)).try_collect().await?;
        let files = objects.iter().filter_map(|object| {
            Some(DataFile {
                name: self.visible_name(object)?,
                bytes: object.size,
                modified: object.last_modified.to_rfc3339(),
            })
        });
        let mut files: Vec<DataFile> = files.collect();
        files.sort();
        Ok(files)
    }

    /// One of the [`Self::data_files`], if there are any; the listing goes no further.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub(super) async fn any_data_file(
        &self,
        store: &dyn ObjectStore,
    ) -> Result<Option<ObjectMeta>> {
        let mut objects = store.list(Some(&self.path));
        while let Some(object) = objects.try_next().await? {
            let name = self.visible_name(&object);
            if name.is_some_and(|name| self.is_data_name(&name)) {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// The name relative to the folder of what a reader sees.
    fn visible_name(&self, object: &ObjectMeta) -> Option<String> {
        let parts: Vec<_> = object.location.prefix_match(&self.path)?.collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let (name, folders) = parts.split_last()?;
        let hidden = |part: &str| part.starts_with(['_', '.']);
        let is_visible = !hidden(name)
            && folders
                .iter()
                .all(|folder| !hidden(folder) && folder.contains('='));
        is_visible.then(|| parts.join("/"))
    }

    fn is_data_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        COMPRESSIONS
            .iter()
            .any(|ending| name.ends_with(&format!(".{}{ending}", self.extension)))
    }

    /// The folder of the local disk that `path` names, if the target lies on the local disk.
    pub(super) fn on_disk(&self, path: &Path) -> Option<PathBuf> {
        if !self.is_local() {
            return None;
        }
        let mut url = Url::parse("file:///").ok()?;
        url.path_segments_mut().ok()?.clear().extend(path.parts());
        url.to_file_path().ok()
    }
}

/// A part of the table that lies in the folder, and what tells it from one that comes to lie there
/// under the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct DataFile {
    /// Relative to the folder.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// When, by the store's clock.
    pub(super) modified: String,
}

/// What does not exist yet lies in the longest part of its path that does.
fn resolve(path: &FilePath) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

/// DataFusion's rule: a name with an ending is a file, unless it ends in `/`.
fn is_file(config: &FileSinkConfig, url: &ListingTableUrl) -> bool {
    config.file_output_mode.single_file_output(url)
}

/// The target as people write it, without user name and password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            write!(f, "/{}", self.path)?;
        } else {
            let store = self.store.as_str();
            match (store.split_once("://"), store.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://{host}")?,
                _ => f.write_str(store)?,
            }
            write!(f, "{}", self.path)?;
        }
        if self.is_file || self.path.as_ref().is_empty() {
            return Ok(());
        }
        f.write_str("/")
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    fn target(store: &str, path: &str, extension: &str) -> Target {
        Target {
            store: ObjectStoreUrl::parse(store).unwrap(),
            path: Path::parse(path).unwrap(),
            is_file: false,
            extension: extension.to_owned(),
        }
    }

    #[tokio::test]
    async fn data_files_are_those_that_a_reader_sees() {
        let store = InMemory::new();
        for path in [
            "x/part-0.csv",
            "x/old.CSV.gz",
            "x/label=a/1.csv",
            "x/sub/2.csv",
            "x/_temporary/3.csv",
            "x/label=b/_temporary/4.csv",
            "x/.5.csv",
            "x/_SUCCESS",
            "x/notes.txt",
            "xy/6.csv",
        ] {
            store.put(&Path::from(path), "1".into()).await.unwrap();
        }
        let files = target("s3://b", "x", "csv").data_files(&store).await;
        let names: Vec<String> = files.unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["label=a/1.csv", "old.CSV.gz", "part-0.csv"]);
    }

    #[test]
    fn people_see_no_password() {
        assert_eq!(target("s3://b", "x y", "csv").to_string(), "s3://b/x y/");
        assert_eq!(target("file://", "tmp/x", "csv").to_string(), "/tmp/x/");
        assert_eq!(target("s3://b", "", "csv").to_string(), "s3://b/");
        assert_eq!(
            target("https://me:hush@host", "x", "csv").to_string(),
            "https://host/x/"
        );
    }

    #[test]
    fn a_run_is_recognised_by_its_folder() {
        let target = target("s3://b", "x", "csv");
        let run = Uuid::now_v7();
        assert_eq!(target.run_of(&target.staged(run, "part-0.csv")), Some(run));
        assert_eq!(target.run_of(&target.journal(run)), Some(run));
        assert_eq!(target.run_of(&target.lock()), None);
        let spark = Path::from("x/_temporary/0/_temporary/part-0.csv");
        assert_eq!(target.run_of(&spark), None);
    }

    #[test]
    fn a_path_of_the_disk() {
        let local = target("file://", "tmp/a b/ü", "csv");
        assert_eq!(local.on_disk(local.path()), Some("/tmp/a b/ü".into()));
        assert_eq!(target("s3://b", "x", "csv").on_disk(&Path::from("x")), None);
    }
}
