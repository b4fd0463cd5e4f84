//! Data sets of the Hugging Face hub: `hf://datasets/owner/repo[@revision]/path`.
//!
//! Files are read as the hub gives them to everybody (`/datasets/…/resolve/…`), folders are listed by its
//! API (`/api/datasets/…/tree/…`, <https://huggingface.co/docs/hub/api>). `HF_ENDPOINT` names another hub,
//! `HF_TOKEN` is sent where it is set. The hub tells no times of its files unless it is asked for one commit
//! a file, so that all of them are those of 1970.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use datafusion::common::{Result as DataFusionResult, config_datafusion_err};
use datafusion_functions_image::weights::hub;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, HttpResponse};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use serde::Deserialize;
use url::Url;

use super::made::Answered;
use super::requests::leave_out;
use super::retry::Retries;
use super::transport::Connector;

/// What follows `hf://`, since all data sets share a store.
const DATASETS: &str = "datasets";
/// The revision of a data set unless the address says another.
const MAIN: &str = "main";
/// How DuckDB, too, writes the revision that the hub converts every data set to.
const PARQUET: (&str, &str) = ("~parquet", "refs/convert/parquet");
/// The most data sets whose stores are kept.
const MOST_KEPT: usize = 64;
/// The most bytes of a page of a listing, which has a thousand entries, or of an error.
const PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// All data sets of a hub.
#[derive(Debug, Clone)]
pub(super) struct HuggingFace {
    hub: Url,
    client: HttpClient,
    /// The stores of revisions, which serve their files.
    files: Arc<Mutex<HashMap<String, Arc<HttpStore>>>>,
}

/// A revision of a data set, and the place in it that an address names.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    /// `owner/repo[@revision]`, as it is written.
    written: String,
    repo: [String; 2],
    revision: String,
    path: String,
}

/// What the hub tells of a file or a folder.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: Option<String>,
}

impl HuggingFace {
    /// The store of `url`, whose host is the kind of what the hub keeps.
    ///
    /// # Errors
    /// When that is not a data set, or the hub's address or the token are none.
    pub(super) fn try_new(url: &Url, answered: &Answered) -> DataFusionResult<Self> {
        if url.host_str() != Some(DATASETS) {
            return Err(config_datafusion_err!(
                "'{url}': of the Hugging Face hub, tables are read from hf://datasets/owner/repo/…"
            ));
        }
        let (hub, options) = hub().map_err(|error| config_datafusion_err!("{error}"))?;
        let client = Connector::try_new(answered)?.connect(&options)?;
        Ok(Self {
            hub,
            client,
            files: Arc::default(),
        })
    }

    /// The address of `parts` below the hub's.
    fn address(&self, parts: &[&str]) -> Result<Url> {
        let mut url = self.hub.clone();
        let mut segments = url
            .path_segments_mut()
            .map_err(|()| generic("the hub's address has no path"))?;
        segments.pop_if_empty().extend(parts);
        drop(segments);
        Ok(url)
    }

    /// The store that serves the files of a revision.
    fn files_of(&self, place: &Place) -> Result<Arc<HttpStore>> {
        let mut kept = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = kept.get(&place.written) {
            return Ok(Arc::clone(store));
        }
        let [owner, repo] = &place.repo;
        let root = self.address(&[DATASETS, owner, repo, "resolve", &place.revision])?;
        let store = HttpBuilder::new()
            .with_url(root)
            .with_http_connector(Shared(self.client.clone()))
            .build()?;
        let store = Arc::new(store);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(place.written.clone(), Arc::clone(&store));
        Ok(store)
    }

    /// Asks the API, again where that may help.
    async fn ask(&self, url: &Url, body: Option<String>) -> Result<HttpResponse> {
        let mut retries = Retries::default();
        loop {
            let answer = self.client.execute(request(url, body.clone())?).await;
            let status = answer.as_ref().map(|answer| answer.status().as_u16());
            match status {
                Ok(200..300) => return answer.map_err(|error| generic(error.to_string())),
                Ok(408 | 429 | 500..600) | Err(_) if retries.again().await => {}
                _ => return Err(refused(url, answer).await),
            }
        }
    }

    /// What is in a folder, page by page; nothing if there is no such folder.
    fn entries(&self, place: &Place, recursive: bool) -> BoxStream<'static, Result<Entry>> {
        let [owner, repo] = &place.repo;
        let mut parts = vec!["api", DATASETS, owner, repo, "tree", &place.revision];
        parts.extend(place.path.split('/').filter(|part| !part.is_empty()));
        let first = self.address(&parts).map(|mut url| {
            if recursive {
                url.set_query(Some("recursive=true"));
            }
            url
        });
        let this = self.clone();
        let pages = stream::try_unfold(Some(first), move |next| {
            let this = this.clone();
            async move {
                let Some(url) = next.transpose()? else {
                    return Ok::<_, Error>(None);
                };
                let answer = match this.ask(&url, None).await {
                    Err(Error::NotFound { .. }) => return Ok(None),
                    answer => answer?,
                };
                let next = this.next_page(&answer)?;
                Ok(Some((
                    parsed::<VecDeque<Entry>>(answer).await?,
                    next.map(Ok),
                )))
            }
        });
        pages
            .map_ok(|page| stream::iter(page).map(Ok))
            .try_flatten()
            .boxed()
    }

    /// The address of the page after this one, if there is one. The token goes to no other server.
    fn next_page(&self, answer: &HttpResponse) -> Result<Option<Url>> {
        let link = answer.headers().get("link");
        let link = link.and_then(|link| link.to_str().ok()).unwrap_or_default();
        let next = link.split(',').find(|part| part.contains("rel=\"next\""));
        let next = next.and_then(|part| Some(part.split_once('<')?.1.split_once('>')?.0));
        let Some(next) = next else {
            return Ok(None);
        };
        let url = self.hub.join(next);
        let url = url.map_err(|error| generic(format!("the address of the next page: {error}")))?;
        if url.origin() != self.hub.origin() {
            return Err(generic("the next page of the listing is on another server"));
        }
        Ok(Some(url))
    }

    /// What is known of one file.
    async fn head(&self, location: &Path) -> Result<ObjectMeta> {
        let place = Place::of(location)?;
        let [owner, repo] = &place.repo;
        let url = self.address(&["api", DATASETS, owner, repo, "paths-info", &place.revision])?;
        let body = serde_json::json!({ "paths": [&place.path] }).to_string();
        let found: Vec<Entry> = parsed(self.ask(&url, Some(body)).await?).await?;
        let file = found.into_iter().find(|entry| entry.kind == "file");
        let file = file.ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "the data set has no such file".into(),
        })?;
        Ok(meta(location.clone(), &file))
    }
}

impl Place {
    /// # Errors
    /// When no data set is named.
    fn of(location: &Path) -> Result<Self> {
        let text = location.as_ref();
        let mut parts = text.splitn(3, '/');
        let (owner, repo) = (parts.next().unwrap_or_default(), parts.next());
        let (repo, revision) = match repo.map(|repo| repo.split_once('@').unwrap_or((repo, MAIN))) {
            Some((repo, revision)) if !(owner.is_empty() || repo.is_empty()) => (repo, revision),
            _ => {
                return Err(generic(format!(
                    "expected hf://datasets/owner/repo/…, found 'hf://datasets/{text}'"
                )));
            }
        };
        let revision = match revision {
            alias if alias == PARQUET.0 => PARQUET.1,
            revision => revision,
        };
        let path = parts.next().unwrap_or_default();
        let written = text.len() - path.len();
        Ok(Self {
            written: text[..written].trim_end_matches('/').to_owned(),
            repo: [owner.to_owned(), repo.to_owned()],
            revision: revision.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Where this data set has `path`; `None` where no address can say so, which is noted.
    fn location(&self, path: &str) -> Option<Path> {
        let text = format!("{}/{path}", self.written);
        match Path::parse(&text) {
            Ok(location) if location.as_ref() == text => Some(location),
            _ => {
                leave_out(
                    &format!("hf://{DATASETS}/{}", self.written),
                    &[path.to_owned()],
                );
                None
            }
        }
    }
}

/// The place of a prefix, which must be in a data set.
fn folder(prefix: Option<&Path>) -> Result<Place> {
    match prefix {
        Some(prefix) => Place::of(prefix),
        None => Place::of(&Path::default()),
    }
}

fn meta(location: Path, entry: &Entry) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: DateTime::UNIX_EPOCH,
        size: entry.size,
        e_tag: entry.oid.clone(),
        version: None,
    }
}

fn request(url: &Url, body: Option<String>) -> Result<HttpRequest> {
    let invalid = |error: &dyn fmt::Display| generic(format!("a request cannot be made: {error}"));
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    if let Some(body) = body {
        request = HttpRequest::new(body.into());
        *request.method_mut() = "POST".parse().map_err(|error| invalid(&error))?;
        let json = "application/json"
            .parse()
            .map_err(|error| invalid(&error))?;
        request.headers_mut().insert("content-type", json);
    }
    *request.uri_mut() = url.as_str().parse().map_err(|error| invalid(&error))?;
    Ok(request)
}

/// The answer's content.
async fn parsed<T: serde::de::DeserializeOwned>(answer: HttpResponse) -> Result<T> {
    let bytes = page(answer).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| generic(format!("the hub's answer is not understood: {error}")))
}

/// The whole answer, within bounds.
async fn page(answer: HttpResponse) -> Result<Vec<u8>> {
    let mut frames = answer.into_body().bytes_stream();
    let mut page = Vec::new();
    while let Some(bytes) = frames.next().await {
        page.extend(bytes.map_err(|error| generic(error.to_string()))?);
        if page.len() as u64 > PAGE_BYTES {
            return Err(generic("an answer of the hub is longer than 16 MiB"));
        }
    }
    Ok(page)
}

/// Why the hub did not answer, in its own words.
async fn refused(
    url: &Url,
    answer: Result<HttpResponse, object_store::client::HttpError>,
) -> Error {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return generic(error.to_string()),
    };
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let said = header("x-error-message").unwrap_or_default();
    let said = format!("the hub answers {status} {said}")
        .trim_end()
        .to_owned();
    // It hides what one may not see: without a token, private data sets are as if they were not there.
    let denied = match std::env::var_os("HF_TOKEN") {
        Some(_) => "; is that the name of the data set, and may the token in HF_TOKEN read it?",
        None => "; is that the name of the data set? Private ones need a token in HF_TOKEN",
    };
    let path = url.path().to_owned();
    match status {
        401 | 403 => Error::PermissionDenied {
            path,
            source: (said + denied).into(),
        },
        404 => match header("x-error-code").as_deref() {
            Some("RepoNotFound") => generic(said + denied),
            Some("RevisionNotFound") => generic(said + "; is that a branch, tag or commit of it?"),
            _ => Error::NotFound {
                path,
                source: said.into(),
            },
        },
        _ => generic(said),
    }
}

fn generic(text: impl Into<String>) -> Error {
    Error::Generic {
        store: "Hugging Face",
        source: text.into().into(),
    }
}

fn read_only<T>() -> Result<T> {
    Err(Error::NotSupported {
        source: "data sets of the Hugging Face hub are read, not written".into(),
    })
}

/// Stores of all data sets share one client and its connections.
#[derive(Debug)]
struct Shared(HttpClient);

impl HttpConnector for Shared {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl fmt::Display for HuggingFace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HuggingFace({})", self.hub)
    }
}

#[async_trait]
impl ObjectStore for HuggingFace {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let meta = self.head(location).await?;
            return Ok(GetResult {
                range: 0..meta.size,
                payload: GetResultPayload::Stream(stream::empty().boxed()),
                attributes: Default::default(),
                meta,
            });
        }
        let place = Place::of(location)?;
        let files = self.files_of(&place)?;
        let path = Path::parse(&place.path)?;
        let mut found = files.get_opts(&path, options).await?;
        found.meta.location = location.clone();
        Ok(found)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let place = match folder(prefix) {
            Ok(place) => place,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        self.entries(&place, true)
            .try_filter_map(move |entry| {
                let location = (entry.kind == "file").then(|| place.location(&entry.path));
                let found = location.flatten().map(|location| meta(location, &entry));
                async move { Ok(found) }
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let place = folder(prefix)?;
        let mut listed = ListResult {
            objects: vec![],
            common_prefixes: vec![],
        };
        let mut entries = self.entries(&place, false);
        while let Some(entry) = entries.try_next().await? {
            let Some(location) = place.location(&entry.path) else {
                continue;
            };
            match entry.kind.as_str() {
                "file" => listed.objects.push(meta(location, &entry)),
                "directory" => listed.common_prefixes.push(location),
                _ => {}
            }
        }
        Ok(listed)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        read_only()
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.and_then(|_| async { read_only() }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        read_only()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_data_set_a_revision_and_a_place() {
        let place = |text: &str| Place::of(&Path::parse(text).unwrap());
        let found = place("ann/fruits@v1.0/train/a b.jpg").unwrap();
        assert_eq!(found.written, "ann/fruits@v1.0");
        assert_eq!(found.repo, ["ann", "fruits"]);
        assert_eq!((&*found.revision, &*found.path), ("v1.0", "train/a b.jpg"));
        let whole = place("ann/fruits").unwrap();
        assert_eq!((&*whole.revision, &*whole.path), ("main", ""));
        let converted = place("ann/fruits@~parquet/default").unwrap();
        assert_eq!(converted.revision, "refs/convert/parquet");
        for text in ["", "ann", "ann/@v1"] {
            let error = place(text).unwrap_err().to_string();
            assert!(error.contains("hf://datasets/owner/repo"), "{error}");
        }
    }
}
