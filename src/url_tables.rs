//! Tables that a query names by their place: `SELECT … FROM 's3://fruits/Features/'`.
//!
//! DataFusion has them too, but takes what is typed for a URL or a pattern before it looks for a file
//! of that name, reads hidden files, knows no patterns in object stores, and says "table not found" of
//! a store that it cannot reach. Here they are found and read as external tables are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{DynamicFileCatalog, TableProvider, UrlTableFactory};
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::datasource::listing::{
    ListingTable, ListingTableConfig, ListingTableConfigExt, ListingTableUrl,
};
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use crate::object_stores::address::shown;
use crate::object_stores::{is_remote, register_object_store};
use crate::sink::{GLOB_CHARACTERS, Place, VISIBLE};

/// Lets queries of this session name a file, a folder or a pattern in the place of a table.
///
/// ```
/// # use datafusion::prelude::SessionContext;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let ctx = SessionContext::new();
/// datafusion_featurize::enable_featurize(&ctx)?;
/// datafusion_featurize::enable_url_tables(&ctx);
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("x [1].csv");
/// # std::fs::write(&file, "a\n1\n")?;
/// let rows = ctx.sql(&format!("SELECT a FROM '{}'", file.display())).await?;
/// assert_eq!(rows.count().await?, 1);
/// # Ok(())
/// # }
/// ```
pub fn enable_url_tables(ctx: &SessionContext) {
    let tables = UrlTables::default();
    tables.0.session_store().with_state(ctx.state_weak_ref());
    let catalogs = Arc::clone(ctx.state().catalog_list());
    ctx.register_catalog_list(Arc::new(DynamicFileCatalog::new(
        catalogs,
        Arc::new(tables),
    )));
}

/// Makes tables of places. DataFusion's own factory of them only knows the session.
#[derive(Debug, Default)]
struct UrlTables(DynamicListTableFactory);

impl UrlTables {
    fn session(&self) -> Option<SessionState> {
        let session = self.0.session_store().get_session().upgrade()?;
        let session = session.read();
        session.as_any().downcast_ref::<SessionState>().cloned()
    }
}

#[async_trait]
impl UrlTableFactory for UrlTables {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let state = self.session();
        let state = state.ok_or_else(|| plan_datafusion_err!("the session has ended"))?;
        let location = with_home(name);
        if is_remote(&location) {
            register_object_store(state.runtime_env(), &location, &HashMap::new()).await?;
        }
        for url in urls(&location)? {
            let Some(url) = readable(url, &state).await? else {
                continue;
            };
            let config = ListingTableConfig::new(url).infer_options(&state).await?;
            let config = config.infer_partitions_from_path(&state).await?;
            let config = config.infer_schema(&state).await?;
            let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
            return Ok(Some(Arc::new(
                ListingTable::try_new(config)?.with_cache(cache),
            )));
        }
        match is_remote(&location) {
            // DataFusion's own error would show the password or the signature of an address.
            true => plan_err!(
                "'{0}' was not found, or has no file of a format that a query reads (Parquet, CSV, JSON, \
                 Arrow); pictures are read by CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION \
                 '{0}' OPTIONS ('recursiveFileLookup' 'true')",
                shown(&location)
            ),
            false => Ok(None),
        }
    }
}

/// What `location` may mean, in the order in which it is looked for: the place of this name, and a
/// pattern. Names of tables mean nothing.
fn urls(location: &str) -> Result<Vec<ListingTableUrl>> {
    if !is_remote(location) {
        let place = match Place::of_location(location) {
            Ok(Some(place)) => place.into_url(),
            Ok(None) => location.to_owned(),
            Err(_) => return Ok(vec![]),
        };
        let url = ListingTableUrl::parse(place)?;
        return Ok(vec![without_hidden(url)?]);
    }
    let mut urls = vec![];
    if let Some(place) = Place::of_location(location)? {
        urls.push(without_hidden(ListingTableUrl::parse(place.into_url())?)?);
    }
    if let Some(glob) = location.find(GLOB_CHARACTERS)
        && let Some(slash) = location[..glob].rfind('/')
        && let (folder, pattern) = location.split_at(slash + 1)
        && let Some(place) = Place::of_location(folder)?
    {
        let folder = ListingTableUrl::parse(place.into_url())?;
        // What is no pattern, such as a lone bracket, is a name and nothing else.
        urls.extend(folder.with_glob(pattern));
    }
    Ok(urls)
}

fn without_hidden(url: ListingTableUrl) -> Result<ListingTableUrl> {
    match url.is_collection() && url.get_glob().is_none() {
        true => url.with_glob(VISIBLE),
        false => Ok(url),
    }
}

/// Files that are looked at to see whether a folder holds those of one format: ten pages of a listing.
const LOOKED_AT: usize = 10_000;

/// `url` narrowed to the files of one format; `None` if none can be read.
///
/// # Errors
/// When a folder holds files of several: rows of all but one would be missing without a word.
async fn readable(url: ListingTableUrl, state: &SessionState) -> Result<Option<ListingTableUrl>> {
    let Ok(store) = state.runtime_env().object_store(&url) else {
        return Ok(None);
    };
    let files = url.list_all_files(state, store.as_ref(), "").await?;
    let mut files = files.take(LOOKED_AT);
    let mut first: Option<(ObjectMeta, String)> = None;
    while let Some(file) = files.try_next().await? {
        let below = file.location.prefix_match(url.prefix());
        let is_hidden = below.is_some_and(|mut below| {
            below.any(|part| part.as_ref().starts_with(['_', '.']) && !part.as_ref().contains('='))
        });
        let Some(ending) = ending(&file, state)?.filter(|_| !is_hidden) else {
            continue;
        };
        match &first {
            None => {
                let is_file = file.location == *url.prefix();
                first = Some((file, ending));
                // The one file, or what a pattern of the user's names.
                if is_file || !is_folder(&url) {
                    break;
                }
            }
            Some((_, of_first)) if *of_first == ending => {}
            Some((one, of_first)) => {
                let folder = shown(url.as_str());
                let folder = folder.trim_end_matches('/');
                return plan_err!(
                    "'{folder}' holds files of several formats, such as '{}' and '{}', and a table has one; \
                     name those of one format: '{folder}/*.{of_first}' or '{folder}/*.{ending}'",
                    one.location.filename().unwrap_or_default(),
                    file.location.filename().unwrap_or_default()
                );
            }
        }
    }
    drop(files);
    let Some((file, ending)) = first else {
        return Ok(None);
    };
    // A folder that is named without its last `/`, where `_SUCCESS` is listed too.
    let url = match url.get_glob().is_none() && file.location != *url.prefix() {
        true => ListingTableUrl::parse(format!("{}/", url.as_str()))?.with_glob(VISIBLE)?,
        false => url,
    };
    let is_all = url
        .get_glob()
        .as_ref()
        .is_some_and(|glob| glob.as_str() == VISIBLE);
    Ok(Some(match is_all {
        true => url.with_glob(&format!("{VISIBLE}.{ending}"))?,
        false => url,
    }))
}

/// Whether `url` stands for all that a folder holds.
fn is_folder(url: &ListingTableUrl) -> bool {
    url.get_glob()
        .as_ref()
        .is_none_or(|glob| glob.as_str() == VISIBLE)
}

/// The ending of a file that a format of the session reads.
fn ending(file: &ObjectMeta, state: &SessionState) -> Result<Option<String>> {
    let (ending, compression) =
        ListingTableConfig::infer_file_extension_and_compression_type(file.location.as_ref())?;
    if state.get_file_format_factory(&ending).is_none() {
        return Ok(None);
    }
    Ok(Some(match compression {
        Some(compression) => format!("{ending}.{compression}"),
        None => ending,
    }))
}

/// `~` as shells have it.
fn with_home(location: &str) -> Cow<'_, str> {
    let home = location.strip_prefix('~').and_then(|rest| {
        let home = std::env::home_dir()?;
        Some(format!("{}{rest}", home.to_str()?))
    });
    home.map_or(Cow::Borrowed(location), Cow::Owned)
}
