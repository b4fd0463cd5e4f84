//! Which store a location needs, and when it is made.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use url::Url;

use super::address::{shown, split_scheme};
use super::store_options::StoreOptions;
use super::{made, open};

/// Registers the store of `location`, made from `options` (`aws.region`, `gcp.service_account_path`,
/// …) and the environment.
///
/// A store that the session has is kept unless `options` configure one. Where that store was made
/// from options too and has been used, the new ones may name other credentials, but neither another
/// server nor no credentials at all: earlier tables would be read from elsewhere, or by somebody else.
///
/// # Errors
/// When the scheme is unknown or not compiled in, an option is unknown, half of a pair of keys is
/// missing, or the options contradict those of a store in use; values are never shown.
pub async fn register_object_store(
    runtime: &Arc<RuntimeEnv>,
    location: &str,
    options: &HashMap<String, String>,
) -> Result<()> {
    let options = StoreOptions::of(options);
    register(&runtime.object_store_registry, location, &options).await
}

/// The same in the registry of a runtime.
pub(crate) async fn register(
    registry: &Arc<dyn ObjectStoreRegistry>,
    location: &str,
    options: &StoreOptions,
) -> Result<()> {
    options.check_pairs()?;
    let Some((scheme, rest)) = split_scheme(location) else {
        return Ok(());
    };
    if scheme == "file" {
        return Ok(());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let urls = names(&scheme)
        .iter()
        .map(|scheme| Url::parse(&format!("{scheme}://{authority}")))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(location)))?;
    let [url, ..] = urls.as_slice() else {
        return has_store(registry, location, &scheme, authority);
    };
    if let Some(container) = made::other_container(registry, url) {
        return plan_err!(
            "'{0}': this session has the container '{container}' of that account already, and cannot tell \
             two apart under {1}://; name the containers by az://container/ with the option \
             'azure.account_name', or use another session",
            shown(location),
            url.scheme()
        );
    }
    let registered = urls.iter().find_map(|url| registry.get_store(url).ok());
    if let Some(store) = registered
        && (options.is_empty() || is_same(registry, url, options).await?)
    {
        for url in urls.iter().filter(|url| registry.get_store(url).is_err()) {
            registry.register_store(url, Arc::clone(&store));
        }
        return Ok(());
    }
    let answered = made::Answered::default();
    let store = open::open(url, options, &answered).await?;
    made::note(registry, url, &store, options, answered);
    for url in &urls {
        registry.register_store(url, Arc::clone(&store));
    }
    Ok(())
}

/// Whether `options` describe the store of `url` as it is. Whoever mistypes one hears of that first, and not
/// that the store has it and they have not.
async fn is_same(
    registry: &Arc<dyn ObjectStoreRegistry>,
    url: &Url,
    options: &StoreOptions,
) -> Result<bool> {
    let same = made::is_same(registry, url, options);
    if same.is_err() {
        open::open(url, options, &made::Answered::default()).await?;
    }
    same
}

/// The schemes of the stores that are made here, where `scheme` is one: a bucket is the same under
/// each.
fn names(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "s3" | "s3a" => &["s3", "s3a"],
        "gs" | "gcs" => &["gs", "gcs"],
        "az" | "azure" => &["az", "azure"],
        "abfss" | "abfs" => &["abfss", "abfs"],
        "http" => &["http"],
        "https" => &["https"],
        "oss" => &["oss"],
        "cos" => &["cos"],
        "hf" => &["hf"],
        _ => &[],
    }
}

/// Whether the store of `location` is one that can be made here.
pub fn is_remote(location: &str) -> bool {
    split_scheme(location).is_some_and(|(scheme, _)| !names(&scheme).is_empty())
}

/// Of schemes that are not known here, the session has to have the store.
fn has_store(
    registry: &Arc<dyn ObjectStoreRegistry>,
    location: &str,
    scheme: &str,
    authority: &str,
) -> Result<()> {
    let url = Url::parse(&format!("{scheme}://{authority}"))
        .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(location)))?;
    if registry.get_store(&url).is_ok() {
        return Ok(());
    }
    plan_err!(
        "LOCATION '{}': there is no object store for '{scheme}://'; use s3://, gs://, \
         az://, hf://datasets/, http(s):// or file://, or register a store for it with the session",
        shown(location)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "gcp")]
    use crate::object_stores::options;

    async fn registered(location: &str, options: &[(&str, &str)]) -> Result<()> {
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let runtime = Arc::new(RuntimeEnv::default());
        register_object_store(&runtime, location, &options).await
    }

    #[tokio::test]
    async fn unknown_schemes_are_named() {
        let error = registered("ftp://host/x", &[])
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("'ftp://'"), "{error}");
        for local in ["x/y", "/x/y", "file:///x/y"] {
            registered(local, &[]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn half_a_pair_of_keys_is_refused() {
        for (given, missing) in [
            ("access_key_id", "secret_access_key"),
            ("secret_access_key", "access_key_id"),
            ("session_token", "access_key_id"),
        ] {
            let options = [(&*format!("aws.{given}"), "hush")];
            let error = registered("s3://b/x", &options).await.unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(&format!("'aws.{missing}' is missing")),
                "{error}"
            );
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[cfg(feature = "aws")]
    #[tokio::test]
    async fn a_bad_option_is_named_without_its_value() {
        let options = [("aws.secret_acess_key", "hush"), ("aws.region", "x")];
        let error = registered("s3://b/x", &options)
            .await
            .unwrap_err()
            .to_string();
        let expected =
            "no option 'aws.secret_acess_key' (did you mean 'aws.secret_access_key'?); the options";
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }

    #[cfg(feature = "gcp")]
    #[tokio::test]
    async fn options_of_google_are_those_that_are_named() {
        let error = registered("gs://b/x", &[("gcp.service_account", "/none")]).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/none"), "it is one: {error}");
        for name in options::GCP {
            let option = format!("gcp.{name}");
            let error = registered("gs://b/x", &[(&*option, "/none")]).await;
            let error = error.unwrap_err().to_string();
            assert!(!error.contains("there is no option"), "{error}");
        }
        let error = registered("gs://b/x", &[("gcp.service_acount_path", "/none")]).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("did you mean 'gcp.service_account_path'?"),
            "{error}"
        );
    }
}
