//! Builds without web clients.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::url::WeightsUrl;
use crate::error::{Error, Result};

pub(super) fn open(_: &WeightsUrl) -> Result<(Arc<dyn ObjectStore>, Path)> {
    Err(Error::Configuration(
        "this program was built without the feature 'http'; build it with that feature, or \
         download the file and give its path"
            .to_owned(),
    ))
}
