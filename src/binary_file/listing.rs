//! The objects of a location, found by walking its folders.

use std::collections::VecDeque;
use std::path::Path as FilePath;

use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_datafusion_err};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::location::Location;
use super::options::BinaryFileOptions;
use super::page::Page;
use super::selection::{Selection, Skipped, Tally, Visit, below};
use crate::object_stores::errors::{broke_off, is_refused, told};
use crate::object_stores::local;
use crate::object_stores::requests::{apart, leave_out};
use crate::object_stores::retry::Retries;
use crate::progress::{Running, add_listed};

/// List requests in flight at once.
const LIST_CONCURRENCY: usize = 32;

/// Objects, and how many were looked at to find them.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Those that are rows, ordered by path; of archives, as they lie in them.
    pub(super) objects: Vec<ObjectMeta>,
    /// All that the store named, in the folders that were looked into.
    pub(super) seen: usize,
    /// Why the others are no rows.
    pub(super) skipped: Tally,
}

/// The objects in the folders of `location` that `options` keep.
///
/// # Errors
/// When the location does not exist or a request fails; the location is named.
pub(super) async fn list_objects(
    store: &dyn ObjectStore,
    location: &Location,
    options: &BinaryFileOptions,
) -> Result<Listed> {
    let mut listed = Listed::default();
    match start(store, location, options).await? {
        Start::Object(Ok(object)) => {
            listed.objects.push(object);
            listed.seen = 1;
        }
        Start::Object(Err(skipped)) => {
            listed
                .skipped
                .add(skipped, location.root(), location.root());
            listed.seen = 1;
        }
        Start::Folder(mut walk) => {
            while let Some(object) = walk.next().await? {
                listed.objects.push(object);
            }
            (listed.seen, listed.skipped) = (walk.seen, walk.skipped);
        }
    }
    listed
        .objects
        .sort_unstable_by(|a, b| a.location.cmp(&b.location));
    Ok(listed)
}

/// One object of the folders of `location`, or why there is none.
///
/// # Errors
/// As [`list_objects`].
pub(super) async fn any_object(
    store: &dyn ObjectStore,
    location: &Location,
    options: &BinaryFileOptions,
) -> Result<Result<ObjectMeta, Tally>> {
    match start(store, location, options).await? {
        Start::Object(object) => Ok(object.map_err(|why| {
            let mut skipped = Tally::default();
            skipped.add(why, location.root(), location.root());
            skipped
        })),
        Start::Folder(mut walk) => Ok(walk.next().await?.ok_or(walk.skipped)),
    }
}

/// The folders between the root of `location` and an object in it.
pub(super) fn folders<'a>(location: &Location, object: &'a Path) -> Vec<&'a str> {
    let mut segments = below(location.root(), object);
    segments.pop();
    segments
}

/// What a location turned out to be.
enum Start<'a> {
    /// One object, or why the options leave it out.
    Object(Result<ObjectMeta, Skipped>),
    Folder(Walk<'a>),
}

async fn start<'a>(
    store: &'a dyn ObjectStore,
    location: &'a Location,
    options: &'a BinaryFileOptions,
) -> Result<Start<'a>> {
    let selection = Selection::new(location, options);
    let mut refused = None;
    if !location.is_folder() {
        if location.is_local()
            && let Some(why) = local::refuses(location.root())
        {
            return Err(plan_datafusion_err!(
                "LOCATION '{location}' is not supported: {why}; only folders, and regular \
                 files of other names, can be read"
            ));
        }
        match store.head(location.root()).await {
            Ok(object) => {
                let kept = selection.check_object(&object);
                return Ok(Start::Object(kept.map(|()| object)));
            }
            Err(object_store::Error::NotFound { .. }) => {}
            // Who may list may be refused an object. Besides, the answer to a listing says why it
            // is refused, and the answer to this request never does.
            Err(e) if is_refused(&e) => refused = Some(e),
            Err(e) => return Err(failed(location, &e)),
        }
    }
    if !exists(store, location).await? {
        return match refused {
            Some(e) => Err(failed(location, &e)),
            None => Err(missing(location)),
        };
    }
    Ok(Start::Folder(Walk {
        store,
        location,
        selection,
        folders: VecDeque::from([(location.root().clone(), false)]),
        requests: FuturesUnordered::new(),
        found: VecDeque::new(),
        seen: 0,
        skipped: Tally::default(),
        _listing: Running::listing(),
    }))
}

/// Whether there is an object or a folder at `location`, which is no glob.
///
/// # Errors
/// When a request fails; one that is refused says nothing, as what does not exist may be refused too.
pub(super) async fn is_there(store: &dyn ObjectStore, location: &Location) -> Result<bool> {
    if !location.is_folder() {
        match store.head(location.root()).await {
            Ok(_) => return Ok(true),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(e) if is_refused(&e) => {}
            Err(e) => return Err(failed(location, &e)),
        }
    }
    match has_any(store, location).await {
        Err(e) if is_refused(&e) => Ok(false),
        found => found.map_err(|e| failed(location, &e)),
    }
}

/// Tells an empty folder, which is an empty table, from one that does not exist.
async fn exists(store: &dyn ObjectStore, location: &Location) -> Result<bool> {
    let root = location.root();
    if root.as_ref().is_empty() {
        return Ok(true);
    }
    if location.is_local() {
        return Ok(FilePath::new("/").join(root.as_ref()).is_dir());
    }
    let found = has_any(store, location).await;
    found.map_err(|e| failed(location, &e))
}

/// A store has no folders, only objects whose names begin alike.
async fn has_any(store: &dyn ObjectStore, location: &Location) -> object_store::Result<bool> {
    let root = location.root();
    let mut retries = Retries::default();
    loop {
        let (first, left_out) = apart(async { store.list(Some(root)).try_next().await }).await;
        match first {
            Ok(first) => return Ok(first.is_some() || left_out),
            Err(e) if broke_off(&e) && retries.again().await => {}
            Err(e) => return Err(e),
        }
    }
}

fn missing(location: &Location) -> DataFusionError {
    let advice = if location.is_local() {
        ""
    } else {
        ", and that the credentials may list it"
    };
    plan_datafusion_err!("LOCATION '{location}' does not exist; check its spelling{advice}")
}

/// Requests under way, and what they have found so far.
struct Walk<'a> {
    store: &'a dyn ObjectStore,
    location: &'a Location,
    selection: Selection<'a>,
    /// Folders yet to be listed, and whether with everything below them.
    folders: VecDeque<(Path, bool)>,
    requests: FuturesUnordered<futures::future::BoxFuture<'a, Result<Page>>>,
    found: VecDeque<ObjectMeta>,
    seen: usize,
    skipped: Tally,
    /// For those who look at the progress.
    _listing: Running,
}

impl<'a> Walk<'a> {
    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        loop {
            if let Some(object) = self.found.pop_front() {
                return Ok(Some(object));
            }
            while self.requests.len() < LIST_CONCURRENCY {
                let Some((folder, tree)) = self.folders.pop_front() else {
                    break;
                };
                self.requests
                    .push(list_folder(self.store, self.location, folder, tree).boxed());
            }
            let Some(page) = self.requests.try_next().await? else {
                return Ok(None);
            };
            self.seen += page.objects.len();
            let root = self.location.root();
            for folder in page.folders {
                match self.selection.visit(&folder) {
                    Visit::Skip(why) => self.skipped.add(why, root, &folder),
                    Visit::Level => self.folders.push_back((folder, false)),
                    Visit::Tree => self.folders.push_back((folder, true)),
                }
            }
            for object in page.objects {
                match self.selection.check(&object) {
                    Ok(()) => self.found.push_back(object),
                    Err(why) => self.skipped.add(why, root, &object.location),
                }
            }
        }
    }
}

async fn list_folder(
    store: &dyn ObjectStore,
    location: &Location,
    folder: Path,
    tree: bool,
) -> Result<Page> {
    let (mut page, mut strangers) = if location.is_local() {
        let (level, left_out) = local::list(folder.clone()).await.map_err(|e| {
            let source = e.into();
            let store = "LocalFileSystem";
            failed(location, &object_store::Error::Generic { store, source })
        })?;
        let left_out = left_out.iter().map(ToString::to_string).collect();
        (Page::from(level), left_out)
    } else {
        (list_remote(store, location, &folder, tree).await?, vec![])
    };
    strangers.extend(page.drop_strangers(&folder));
    page.drop_markers(&folder);
    leave_out(location, &strangers);
    Ok(page)
}

async fn list_remote(
    store: &dyn ObjectStore,
    location: &Location,
    folder: &Path,
    tree: bool,
) -> Result<Page> {
    let mut retries = Retries::default();
    loop {
        let page = if tree {
            let objects = store.list(Some(folder)).inspect_ok(|_| add_listed(1));
            let objects = objects.try_collect().await;
            objects.map(|objects| Page {
                objects,
                folders: vec![],
            })
        } else {
            let level = store.list_with_delimiter(Some(folder)).await;
            level
                .inspect(|level| add_listed(level.objects.len()))
                .map(Page::from)
        };
        match page {
            Err(e) if broke_off(&e) && retries.again().await => {}
            page => return page.map_err(|e| failed(location, &e)),
        }
    }
}

fn failed(location: &Location, error: &object_store::Error) -> DataFusionError {
    let advice = match error {
        object_store::Error::InvalidPath { .. } => {
            "; a name with a control character or with an empty, '.' or '..' folder cannot be \
             read: rename it, or name a location that does not contain it"
        }
        _ => "",
    };
    exec_datafusion_err!(
        "could not list '{location}': {}{advice}",
        told(error, location.store().as_str())
    )
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::options::Oversize;
    use super::*;

    async fn listed(text: &str, options: &BinaryFileOptions) -> Vec<String> {
        let store = InMemory::new();
        for path in [
            "t/1.jpg",
            "t/2.png",
            "t/_SUCCESS",
            "t/.hidden.jpg",
            "t/apple red/3.jpg",
            "t/apple red/deep/4.jpg",
            "t/_temporary/5.jpg",
            "t/year=2024/6.jpg",
            "t/year=2024/day=1/7.jpg",
            "tt/8.jpg",
        ] {
            store.put(&Path::from(path), path.into()).await.unwrap();
        }
        let location = Location::parse(text).unwrap();
        let listed = list_objects(&store, &location, options).await.unwrap();
        listed
            .objects
            .iter()
            .map(|o| o.location.to_string())
            .collect()
    }

    #[tokio::test]
    async fn folders_files_and_globs() {
        let plain = BinaryFileOptions::default();
        let recursive = plain.clone().with_recursive_file_lookup(true);
        let jpg = plain.clone().with_path_glob_filter("*.jpg").unwrap();

        let direct = [
            "t/1.jpg",
            "t/2.png",
            "t/year=2024/6.jpg",
            "t/year=2024/day=1/7.jpg",
        ];
        assert_eq!(listed("s3://b/t/", &plain).await, direct);
        assert_eq!(listed("s3://b/t", &plain).await, direct);
        assert_eq!(listed("s3://b/t/1.jpg", &plain).await, ["t/1.jpg"]);
        assert_eq!(listed("s3://b/t/2.png", &jpg).await, [""; 0]);
        assert_eq!(
            listed("s3://b/t", &recursive).await,
            [
                "t/1.jpg",
                "t/2.png",
                "t/apple red/3.jpg",
                "t/apple red/deep/4.jpg",
                "t/year=2024/6.jpg",
                "t/year=2024/day=1/7.jpg"
            ]
        );
        assert_eq!(
            listed("s3://b/t/apple*", &plain).await,
            ["t/apple red/3.jpg"]
        );
        assert_eq!(
            listed("s3://b/t/apple*/", &recursive).await,
            ["t/apple red/3.jpg", "t/apple red/deep/4.jpg"]
        );
        assert_eq!(
            listed("s3://b/t*/*.jpg", &plain).await,
            ["t/1.jpg", "tt/8.jpg"]
        );
        assert_eq!(
            listed("s3://b/t/**/*.jpg", &jpg).await,
            [
                "t/1.jpg",
                "t/apple red/3.jpg",
                "t/apple red/deep/4.jpg",
                "t/year=2024/6.jpg",
                "t/year=2024/day=1/7.jpg"
            ]
        );
        assert_eq!(listed("s3://b/t/*.gif", &plain).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let location = Location::parse("s3://b/nowhere/*.jpg").unwrap();
        let error = list_objects(&InMemory::new(), &location, &BinaryFileOptions::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'s3://b/nowhere/*.jpg' does not exist"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn oversize_objects_can_be_skipped() {
        let options = BinaryFileOptions::default().with_max_length(7, Oversize::Skip);
        assert_eq!(listed("s3://b/t/", &options).await, ["t/1.jpg", "t/2.png"]);
    }
}
