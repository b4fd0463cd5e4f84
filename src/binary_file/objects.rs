//! The objects of a location, which lie in folders or in archives.

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectMeta;

use super::in_archives;
use super::listing::{Listed, any_object, list_objects};
use super::location::Location;
use super::options::BinaryFileOptions;
use super::selection::Tally;

/// The objects of `location` that `options` keep.
///
/// # Errors
/// When the location does not exist or a request fails; the location is named.
pub(super) async fn list(
    runtime: &RuntimeEnv,
    location: &Location,
    options: &BinaryFileOptions,
) -> Result<Listed> {
    match in_archives::list(runtime, location, options).await? {
        Some(listed) => Ok(listed),
        None => list_objects(&runtime.object_store(location.store())?, location, options).await,
    }
}

/// One object of `location`, to learn the table's layout from, or why there is none.
///
/// # Errors
/// As [`list`].
pub(super) async fn sample(
    runtime: &RuntimeEnv,
    location: &Location,
    options: &BinaryFileOptions,
) -> Result<Result<ObjectMeta, Tally>> {
    if let Some(listed) = in_archives::list(runtime, location, options).await? {
        return Ok(listed.objects.into_iter().next().ok_or(listed.skipped));
    }
    let store = runtime.object_store(location.store())?;
    any_object(&store, location, options).await
}
