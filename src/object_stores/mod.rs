//! Object stores: which one a location needs, and with which credentials.

pub(crate) mod errors;
mod made;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod options;
#[cfg(any(feature = "aws", feature = "gcp", feature = "http", test))]
mod pages;
pub(crate) mod requests;
pub(crate) mod retry;
#[cfg(feature = "aws")]
mod s3;
#[cfg(any(feature = "aws", feature = "gcp", feature = "http"))]
mod transport;
mod xml;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, config_err, plan_datafusion_err, plan_err};
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use url::Url;

use self::errors::shown;

pub(crate) use self::made::is_store_option;

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
    check_keys(options)?;
    let Some((scheme, rest)) = location.split_once("://") else {
        return Ok(());
    };
    if scheme == "file" {
        return Ok(());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let urls = names(scheme)
        .iter()
        .map(|scheme| Url::parse(&format!("{scheme}://{authority}")))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(location)))?;
    let [url, ..] = urls.as_slice() else {
        return has_store(runtime, location);
    };
    let registry = &runtime.object_store_registry;
    let registered = urls.iter().find_map(|url| registry.get_store(url).ok());
    let configured = options.keys().any(|key| is_store_option(key));
    if let Some(store) = registered
        && (!configured || made::is_same(registry, url, options)?)
    {
        for url in urls.iter().filter(|url| registry.get_store(url).is_err()) {
            runtime.register_object_store(url, Arc::clone(&store));
        }
        return Ok(());
    }
    let answered = made::Answered::default();
    let store = open(url, options, &answered).await?;
    made::note(registry, url, &store, options, answered);
    for url in &urls {
        runtime.register_object_store(url, Arc::clone(&store));
    }
    Ok(())
}

/// The schemes of the stores that are made here, where `scheme` is one: a bucket is the same under
/// each.
fn names(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "s3" | "s3a" => &["s3", "s3a"],
        "gs" | "gcs" => &["gs", "gcs"],
        "http" => &["http"],
        "https" => &["https"],
        "oss" => &["oss"],
        "cos" => &["cos"],
        _ => &[],
    }
}

/// Whether the store of `location` is one that can be made here.
pub fn is_remote(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !names(scheme).is_empty())
}

/// Of schemes that are not known here, the session has to have the store.
fn has_store(runtime: &Arc<RuntimeEnv>, location: &str) -> Result<()> {
    let (scheme, rest) = location.split_once("://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    let url = Url::parse(&format!("{scheme}://{authority}"))
        .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(location)))?;
    if runtime.object_store_registry.get_store(&url).is_ok() {
        return Ok(());
    }
    plan_err!(
        "LOCATION '{}': there is no object store for '{scheme}://'; use s3://, gs://, \
         http(s):// or file://, or register a store for it with the session",
        shown(location)
    )
}

/// A key without its secret would be ignored, and other credentials found in the environment.
fn check_keys(options: &HashMap<String, String>) -> Result<()> {
    let has = |name: &str| options.contains_key(&format!("aws.{name}"));
    let (id, secret) = (has("access_key_id"), has("secret_access_key"));
    let missing = match (id, secret) {
        (true, false) => "secret_access_key",
        (false, true) => "access_key_id",
        (false, false) if has("session_token") => "access_key_id",
        _ => return Ok(()),
    };
    config_err!(
        "'aws.{missing}' is missing: aws.access_key_id and aws.secret_access_key go together, and \
         aws.session_token with both"
    )
}

/// Makes the store of `url` from `options` and the environment.
///
/// # Errors
/// When the scheme is unknown, not compiled in, or an option is; values are never shown.
pub(crate) async fn open_object_store(
    url: &Url,
    options: &HashMap<String, String>,
) -> Result<Arc<dyn ObjectStore>> {
    open(url, options, &made::Answered::default()).await
}

/// The same; the store notes in `answered` that it has been answered well.
async fn open(
    url: &Url,
    options: &HashMap<String, String>,
    answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    match url.scheme() {
        "s3" | "s3a" | "oss" | "cos" => s3(url, options, answered).await,
        "gs" | "gcs" => gcs(url, options, answered),
        "http" | "https" => http(url, answered),
        scheme => plan_err!("there is no object store for '{scheme}://'"),
    }
}

/// With the program's libraries at hand: the credentials that datafusion-cli finds too (profiles,
/// instance roles, single sign-on).
#[cfg(all(feature = "aws", feature = "cli"))]
async fn s3(
    url: &Url,
    options: &HashMap<String, String>,
    answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use datafusion::common::config::ExtensionOptions;
    use datafusion_cli::object_storage::{
        AwsOptions, get_cos_object_store_builder, get_oss_object_store_builder,
        get_s3_object_store_builder,
    };
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let mut aws = AwsOptions::default();
    for (key, value) in options.iter().filter(|(key, _)| key.starts_with("aws.")) {
        aws.set(key, value)
            .map_err(|_| options::refused(key, "aws", &options::AWS))?;
    }
    match url.scheme() {
        "oss" => return build_s3(get_oss_object_store_builder(url, &aws)?, options, answered),
        "cos" => return build_s3(get_cos_object_store_builder(url, &aws)?, options, answered),
        _ => {}
    }
    let has_keys = aws.access_key_id.is_some();
    if aws.skip_signature == Some(true) && !has_keys {
        // With keys, which are not used then, nobody goes looking for an instance's role.
        aws.access_key_id = Some(String::new());
        aws.secret_access_key = Some(String::new());
    }
    if aws.endpoint.is_some() && aws.region.is_none() && aws.access_key_id.is_some() {
        let from_env = AmazonS3Builder::from_env();
        let region = from_env.get_config_value(&AmazonS3ConfigKey::Region);
        // Without a region, Amazon would be asked for that of a bucket which it does not have.
        aws.region = region.or_else(|| Some(DEFAULT_REGION.to_owned()));
    }
    let builder = get_s3_object_store_builder(url, &aws, false)
        .await
        .map_err(|e| errors::no_credentials(url, e))?;
    build_s3(builder, options, answered)
}

/// What servers other than Amazon's take for a region unless they are told otherwise.
#[cfg(all(feature = "aws", feature = "cli"))]
const DEFAULT_REGION: &str = "us-east-1";

/// Without them: the options, and the variables of the environment.
#[cfg(all(feature = "aws", not(feature = "cli")))]
async fn s3(
    url: &Url,
    options: &HashMap<String, String>,
    answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let mut builder = AmazonS3Builder::from_env().with_url(url.as_str());
    for (key, value) in options {
        let Some(name) = key.strip_prefix("aws.") else {
            continue;
        };
        let name: AmazonS3ConfigKey = format!("aws_{name}")
            .parse()
            .map_err(|_| options::refused(key, "aws", &options::AWS))?;
        builder = builder.with_config(name, value);
    }
    build_s3(builder, options, answered)
}

/// Whoever names keys or a server means these alone: not with a token that the environment has for
/// other keys, and not `AWS_ENDPOINT_URL_S3`, which would otherwise go before every other endpoint.
#[cfg(feature = "aws")]
fn build_s3(
    mut builder: object_store::aws::AmazonS3Builder,
    options: &HashMap<String, String>,
    answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use object_store::StaticCredentialProvider;
    use object_store::aws::{AmazonS3ConfigKey, AwsCredential};

    let option = |name: &str| options.get(&format!("aws.{name}"));
    if let Some(endpoint) = option("endpoint") {
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let (Some(id), Some(secret)) = (option("access_key_id"), option("secret_access_key")) {
        let keys = AwsCredential {
            key_id: id.clone(),
            secret_key: secret.clone(),
            token: option("session_token").cloned(),
        };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(keys)));
        if option("skip_signature").is_none() && option("nosign").is_none() {
            builder = builder.with_skip_signature(false);
        }
    }
    Ok(Arc::new(s3::S3::try_new(builder, answered)?))
}

#[cfg(not(feature = "aws"))]
async fn s3(
    url: &Url,
    _options: &HashMap<String, String>,
    _answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "aws")
}

#[cfg(feature = "gcp")]
fn gcs(
    url: &Url,
    options: &HashMap<String, String>,
    answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
    for (key, value) in options {
        let Some(name) = key.strip_prefix("gcp.") else {
            continue;
        };
        let name = match name {
            // As datafusion-cli has it.
            "application_credentials_path" => "application_credentials",
            name => name,
        };
        let name: GoogleConfigKey = name
            .parse()
            .map_err(|_| options::refused(key, "gcp", &options::GCP))?;
        builder = builder.with_config(name, value);
    }
    let connector = transport::Connector::try_new(answered)?;
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

#[cfg(not(feature = "gcp"))]
fn gcs(
    url: &Url,
    _options: &HashMap<String, String>,
    _answered: &made::Answered,
) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "gcp")
}

#[cfg(feature = "http")]
fn http(url: &Url, answered: &made::Answered) -> Result<Arc<dyn ObjectStore>> {
    use object_store::http::HttpBuilder;

    let connector = transport::Connector::try_new(answered)?;
    let http = object_store::ClientOptions::new().with_allow_http(url.scheme() == "http");
    let builder = HttpBuilder::new()
        .with_url(url.as_str())
        .with_client_options(http);
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

#[cfg(not(feature = "http"))]
fn http(url: &Url, _answered: &made::Answered) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "http")
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "http")))]
fn not_compiled_in(url: &Url, feature: &str) -> Result<Arc<dyn ObjectStore>> {
    plan_err!(
        "no object store is registered for '{}' and this program was built without the feature \
         '{feature}'; build it with that feature, or register a store with the session",
        shown(url.as_str())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
