//! `weights => 'imagenet'`: the files of Keras Applications.

use super::cached::RemoteFile;
use super::content::Expected;
use super::url::WeightsUrl;
use crate::error::{Error, Result};
use crate::models::Architecture;

/// Where Keras publishes its files, each in a folder named after its network.
pub const DEFAULT_BASE_URL: &str = "https://storage.googleapis.com/tensorflow/keras-applications";
/// Environment variable that names another place with the same layout, such as a mirror.
pub const BASE_URL_VARIABLE: &str = "FEATURIZE_WEIGHTS_URL";

/// The file that Keras Applications publishes for `architecture`.
///
/// # Errors
///
/// [`Error::Configuration`] if `FEATURIZE_WEIGHTS_URL` is no address.
pub(super) fn published(architecture: Architecture) -> Result<RemoteFile> {
    published_at(
        architecture,
        std::env::var(BASE_URL_VARIABLE).ok().as_deref(),
    )
}

fn published_at(architecture: Architecture, base: Option<&str>) -> Result<RemoteFile> {
    let base = base.filter(|base| !base.is_empty());
    let (folder, name) = architecture.keras_file();
    let base = WeightsUrl::parse(base.unwrap_or(DEFAULT_BASE_URL))
        .map_err(|error| Error::Configuration(format!("{BASE_URL_VARIABLE}: {error}")))?;
    let Some(url) = base.join(&[folder, name]) else {
        return Err(Error::Configuration(format!(
            "{BASE_URL_VARIABLE}: {base} cannot have files below it"
        )));
    };
    Ok(RemoteFile {
        origin: "'imagenet'".to_owned(),
        name: name.to_owned(),
        url,
        md5: architecture.keras_md5(),
        may_change: false,
        expected: Expected::Weights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = |architecture, base| {
            let file = published_at(architecture, base).unwrap();
            (file.url.to_string(), file.name)
        };
        let (found, name) = url(Architecture::Vgg16, None);
        assert_eq!(name, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5");
        assert_eq!(found, format!("{DEFAULT_BASE_URL}/vgg16/{name}"));
        for base in ["http://mirror/keras", "http://mirror/keras/"] {
            let (found, name) = url(Architecture::MobileNetV2, Some(base));
            assert_eq!(found, format!("http://mirror/keras/mobilenet_v2/{name}"));
        }
        let (found, name) = url(Architecture::ResNet50, None);
        assert_eq!(found, format!("{DEFAULT_BASE_URL}/resnet/{name}"));
        assert!(
            url(Architecture::MobileNetV2_050, None)
                .0
                .ends_with("kernels_0.5_224_no_top.h5")
        );
        let error = published_at(Architecture::Vgg16, Some("mirror")).unwrap_err();
        assert!(error.to_string().contains(BASE_URL_VARIABLE), "{error}");
    }
}
