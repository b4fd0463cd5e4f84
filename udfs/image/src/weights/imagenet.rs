//! `weights => 'imagenet'`: the file of Keras Applications, from a folder of this machine.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::models::Architecture;

/// Where Keras publishes its files.
const BASE_URL: &str = "https://storage.googleapis.com/tensorflow/keras-applications";
/// Environment variable that names the folder.
const FOLDER_VARIABLE: &str = "FEATURIZE_WEIGHTS_DIR";

/// The file of `architecture` in the weights folder: `folder` if it is given (the setting
/// `featurize.weights_dir`), else `FEATURIZE_WEIGHTS_DIR`, else the platform's cache folder.
///
/// # Errors
///
/// [`Error::Weights`] if the file is not there: where to get it, where to put it, and what else
/// could be used. Random numbers never stand in for it.
pub(super) fn locate(architecture: Architecture, folder: Option<&Path>) -> Result<PathBuf> {
    let name = architecture.keras_file();
    let folder = folder
        .map(Path::to_owned)
        .or_else(|| variable(FOLDER_VARIABLE))
        .or_else(cache_folder);
    let place = match folder {
        Some(folder) => {
            let file = folder.join(name);
            if file.is_file() {
                return Ok(file);
            }
            format!("is not in {}; put it there", folder.display())
        }
        None => "has no folder to be looked for in; SET featurize.weights_dir".to_owned(),
    };
    Err(Error::Weights {
        origin: "'imagenet'".to_owned(),
        message: format!(
            "{name} {place} (from {BASE_URL}/{architecture}/{name}), or give the path of another \
             weights file, or 'seeded' for deterministic random numbers (offline trials, tests \
             and benchmarks only)"
        ),
    })
}

/// The platform's folder for files that can be had again.
fn cache_folder() -> Option<PathBuf> {
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("datafusion-featurize"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_looked_at_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = locate(Architecture::Vgg16, Some(folder.path())).unwrap_err();
        let text = error.to_string();
        let name = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5";
        assert!(
            text.contains(&format!("keras-applications/vgg16/{name}")),
            "{text}"
        );
        assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
        assert!(text.contains("'seeded'"), "{text}");
        let file = folder.path().join(name);
        std::fs::write(&file, b"").unwrap();
        assert_eq!(
            locate(Architecture::Vgg16, Some(folder.path())).unwrap(),
            file
        );
    }
}
