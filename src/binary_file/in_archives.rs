//! The rows of a location that names archives, or lies in them.

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::listing::{Listed, list_objects};
use super::location::Location;
use super::options::BinaryFileOptions;
use super::selection::{Selection, Skipped, Visit};
use crate::archives::{Archive, Format, open, open_object};
use crate::object_stores::requests::leave_out;
use crate::progress::{Running, add_listed};

/// Archives that are listed at once.
const AT_ONCE: usize = 8;

/// The members of the archives of `location` that `options` keep, or `None` if it has to do with none.
///
/// # Errors
/// When an archive is damaged or a request fails; it is named.
pub(super) async fn list(
    runtime: &RuntimeEnv,
    location: &Location,
    options: &BinaryFileOptions,
) -> Result<Option<Listed>> {
    let mut found = None;
    for archives in location.archives() {
        found = find(runtime, &archives).await?;
        if found.is_some() {
            break;
        }
    }
    let Some(found) = found else {
        return Ok(None);
    };
    let _listing = Running::listing();
    let selection = Selection::new(location, options);
    let mut listed = Listed::default();
    let archives = found
        .into_iter()
        .map(|found| opened(runtime, location.store(), found));
    let mut opened = stream::iter(archives).buffered(AT_ONCE).boxed();
    while let Some((object, archive)) = opened.try_next().await? {
        match archive {
            Some(archive) => add_members(
                &mut listed,
                location,
                &selection,
                &object.location,
                &archive,
            )?,
            // In a folder that has the name of an archive.
            None => add(&mut listed, location, &selection, object),
        }
    }
    Ok(Some(listed))
}

/// What lies at a location of archives.
enum Found {
    /// As the answer to a request for it alone says.
    Object(ObjectMeta),
    /// As a listing says, which may spell the tag of an object in another way.
    Listed(ObjectMeta),
}

/// An object, and the archive that it may be.
async fn opened(
    runtime: &RuntimeEnv,
    bucket: &ObjectStoreUrl,
    found: Found,
) -> Result<(ObjectMeta, Option<Archive>)> {
    let (Found::Object(object) | Found::Listed(object)) = &found;
    let archive = match (object.location.filename().and_then(Format::of), &found) {
        (None, _) => None,
        (Some(format), Found::Object(object)) => {
            Some(open_object(runtime, bucket, object.clone(), format).await?)
        }
        (Some(format), Found::Listed(object)) => {
            open(runtime, bucket, &object.location, format).await?
        }
    };
    let (Found::Object(object) | Found::Listed(object)) = found;
    Ok((object, archive))
}

/// The objects at a location of archives, or `None` if there is none.
async fn find(runtime: &RuntimeEnv, archives: &Location) -> Result<Option<Vec<Found>>> {
    let store = runtime.object_store(archives.store())?;
    if archives.pattern().is_none() {
        // Whatever else is wrong, the listing that follows tells.
        let object = store.head(archives.root()).await.ok();
        return Ok(object.map(|object| vec![Found::Object(object)]));
    }
    let listed = list_objects(&store, archives, &BinaryFileOptions::default()).await?;
    let found: Vec<Found> = listed.objects.into_iter().map(Found::Listed).collect();
    Ok((!found.is_empty()).then_some(found))
}

fn add_members(
    listed: &mut Listed,
    location: &Location,
    selection: &Selection<'_>,
    path: &Path,
    archive: &Archive,
) -> Result<()> {
    let members = archive.index.members();
    add_listed(members.len());
    for member in members {
        let name = format!("{path}/{}", member.name);
        let place = Path::parse(&name);
        let object = ObjectMeta {
            location: place.map_err(|e| exec_datafusion_err!("'{name}': {e}"))?,
            last_modified: member.modified,
            size: member.size,
            e_tag: None,
            version: None,
        };
        add(listed, location, selection, object);
    }
    let left_out: Vec<String> = archive
        .index
        .left_out()
        .iter()
        .map(|name| format!("{path}/{name}"))
        .collect();
    leave_out(location, &left_out);
    Ok(())
}

/// Adds `object` if it is a row: what a walk through its folders would find.
fn add(listed: &mut Listed, location: &Location, selection: &Selection<'_>, object: ObjectMeta) {
    listed.seen += 1;
    match skipped(location, selection, &object) {
        Some(why) => listed.skipped.add(why, location.root(), &object.location),
        None => listed.objects.push(object),
    }
}

fn skipped(location: &Location, selection: &Selection<'_>, object: &ObjectMeta) -> Option<Skipped> {
    let path = object.location.as_ref();
    let root = location.root().as_ref();
    let inside = path
        .strip_prefix(root)
        .filter(|rest| root.is_empty() || rest.starts_with('/'));
    if inside.is_none() {
        return Some(Skipped::Elsewhere);
    }
    for (end, _) in path.match_indices('/').filter(|(end, _)| *end > root.len()) {
        let Ok(folder) = Path::parse(&path[..end]) else {
            continue;
        };
        match selection.visit(&folder) {
            Visit::Skip(why) => return Some(why),
            Visit::Level => {}
            Visit::Tree => break,
        }
    }
    selection.check(object).err()
}
