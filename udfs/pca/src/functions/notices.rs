//! What a user should hear although it is no error.

use crate::model::pca::PcaModel;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Notices of a process: there are groups without number, and machines fit a model more than once.
const MOST: usize = 16;

/// Warns that a model has fewer components than were asked for; the same thing once in a process, and
/// not more than [`MOST`] of them.
pub(crate) fn fewer_components(function: &str, model: &PcaModel) {
    static SAID: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

    let Some(requested) = model.n_components_requested() else {
        return;
    };
    let notice = format!(
        "{function}: n_components = {requested} is more than {} rows of {} values can give: the model has \
         {} components",
        model.n_samples(),
        model.n_features(),
        model.n_components()
    );
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() < MOST && said.insert(notice.clone()) {
        log::warn!("{notice}");
        if said.len() == MOST {
            log::warn!("{function}: no more of these notices; pca_info tells it of each model");
        }
    }
}
