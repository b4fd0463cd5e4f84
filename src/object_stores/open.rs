//! Makes stores from options and the environment.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use object_store::ObjectStore;
use url::Url;

use super::explaining::Explaining;
use super::made::Answered;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
use super::options;
#[cfg(all(feature = "aws", feature = "cli"))]
use super::renewing;
use super::store_options::StoreOptions;
#[cfg(any(feature = "azure", feature = "gcp", feature = "http"))]
use super::transport;

/// Makes the store of `url` from `options` and the environment; it notes in `answered` that it has been
/// answered well.
///
/// # Errors
/// When the scheme is unknown, not compiled in, or an option is; values are never shown.
pub(super) async fn open(
    url: &Url,
    options: &StoreOptions,
    answered: &Answered,
) -> Result<Arc<dyn ObjectStore>> {
    let store = match url.scheme() {
        "s3" | "s3a" | "oss" | "cos" => s3(url, options, answered).await?,
        "gs" | "gcs" => gcs(url, options, answered)?,
        "az" | "azure" | "abfs" | "abfss" => azure(url, options, answered)?,
        "http" | "https" => http(url, answered)?,
        "hf" => hugging_face(url, answered)?,
        scheme => return plan_err!("there is no object store for '{scheme}://'"),
    };
    Ok(Arc::new(Explaining::new(store, url)))
}

/// With the program's libraries at hand: the credentials that datafusion-cli finds too (profiles,
/// instance roles, single sign-on).
#[cfg(all(feature = "aws", feature = "cli"))]
async fn s3(
    url: &Url,
    options: &StoreOptions,
    answered: &Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use datafusion::common::config::ExtensionOptions;
    use datafusion_cli::object_storage::{
        AwsOptions, get_cos_object_store_builder, get_oss_object_store_builder,
    };
    use object_store::aws::AmazonS3ConfigKey;

    let mut aws = AwsOptions::default();
    let (_, others) = options::AWS.split_at(options::AWS_CREDENTIALS);
    let mut more = vec![];
    for (key, value) in &options.0 {
        let Some(name) = key.strip_prefix("aws.") else {
            continue;
        };
        let refused = || options::refused(key, "aws", &options::AWS);
        if others.contains(&name) {
            let name: AmazonS3ConfigKey = format!("aws_{name}").parse().map_err(|_| refused())?;
            more.push((name, value));
        } else {
            aws.set(key, value).map_err(|_| refused())?;
        }
    }
    let mut builder = match url.scheme() {
        "oss" => get_oss_object_store_builder(url, &aws)?,
        "cos" => get_cos_object_store_builder(url, &aws)?,
        _ => amazon(url, aws).await?,
    };
    for (name, value) in more {
        builder = builder.with_config(name, value);
    }
    build_s3(url, builder, options, answered)
}

#[cfg(all(feature = "aws", feature = "cli"))]
async fn amazon(
    url: &Url,
    mut aws: datafusion_cli::object_storage::AwsOptions,
) -> Result<object_store::aws::AmazonS3Builder> {
    use datafusion_cli::object_storage::get_s3_object_store_builder;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let failed = |error| super::errors::not_opened(url, error);
    let mut found = None;
    if aws.access_key_id.is_none() {
        if aws.skip_signature != Some(true) {
            let environment = renewing::of_environment().await.map_err(failed)?;
            aws.region = aws.region.or(environment.region);
            found = environment.credentials;
        }
        let is_anonymous = *aws.skip_signature.get_or_insert_with(|| found.is_none());
        if found.is_some() || is_anonymous {
            // With keys, which are not used, datafusion-cli does not go looking for any.
            aws.access_key_id = Some(String::new());
            aws.secret_access_key = Some(String::new());
        }
    }
    let from_env = AmazonS3Builder::from_env();
    let of_env = |key| from_env.get_config_value(&key);
    let endpoint =
        || of_env(AmazonS3ConfigKey::S3Endpoint).or_else(|| of_env(AmazonS3ConfigKey::Endpoint));
    let has_endpoint = aws.endpoint.is_some() || endpoint().is_some();
    if has_endpoint && aws.region.is_none() {
        let region = of_env(AmazonS3ConfigKey::Region);
        // Without a region, Amazon would be asked for that of a bucket which it does not have.
        aws.region = region.or_else(|| Some(DEFAULT_REGION.to_owned()));
    }
    let builder = get_s3_object_store_builder(url, &aws, false).await;
    let builder = builder.map_err(failed)?;
    Ok(match found {
        Some(credentials) => builder.with_credentials(credentials),
        None => builder,
    })
}

/// What servers other than Amazon's take for a region unless they are told otherwise.
#[cfg(all(feature = "aws", feature = "cli"))]
const DEFAULT_REGION: &str = "us-east-1";

/// Without them: the options, and the variables of the environment.
#[cfg(all(feature = "aws", not(feature = "cli")))]
async fn s3(
    url: &Url,
    options: &StoreOptions,
    answered: &Answered,
) -> Result<Arc<dyn ObjectStore>> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

    let mut builder = AmazonS3Builder::from_env().with_url(url.as_str());
    let spelt = |name: &str| Some(format!("aws_{name}"));
    for (key, value) in keys::<AmazonS3ConfigKey>(options, "aws", &options::AWS, spelt)? {
        builder = builder.with_config(key, value);
    }
    build_s3(url, builder, options, answered)
}

/// The options that begin with `prefix`, under the names that a builder of stores has for them; `spelt` is
/// `None` for what is no option here.
///
/// # Errors
/// When there is no such option; its value is not shown.
#[cfg(any(
    feature = "azure",
    feature = "gcp",
    all(feature = "aws", not(feature = "cli"))
))]
fn keys<'a, K: std::str::FromStr>(
    options: &'a StoreOptions,
    prefix: &str,
    names: &[&str],
    spelt: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(K, &'a String)>> {
    let of_prefix = options.0.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(prefix)?.strip_prefix('.')?;
        let known = spelt(name).and_then(|name| name.parse().ok());
        Some(match known {
            Some(known) => Ok((known, value)),
            None => Err(options::refused(key, prefix, names)),
        })
    });
    of_prefix.collect()
}

/// Whoever names keys or a server means these alone: not with a token that the environment has for
/// other keys, and not `AWS_ENDPOINT_URL_S3`, which would otherwise go before every other endpoint.
#[cfg(feature = "aws")]
fn build_s3(
    url: &Url,
    mut builder: object_store::aws::AmazonS3Builder,
    options: &StoreOptions,
    answered: &Answered,
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
    check_endpoint(url, &builder)?;
    Ok(Arc::new(super::s3::S3::try_new(builder, answered)?))
}

/// Whose server speaks plain HTTP would otherwise hear of a "builder error", and an address without its
/// scheme would be a panic of `object_store` when it signs the first request.
#[cfg(feature = "aws")]
fn check_endpoint(url: &Url, builder: &object_store::aws::AmazonS3Builder) -> Result<()> {
    use datafusion::common::config_err;
    use object_store::ClientConfigKey::AllowHttp;
    use object_store::aws::AmazonS3ConfigKey::{Client, Endpoint, S3Endpoint};

    use super::address::{is_web, shown};

    let value = |key| builder.get_config_value(&key);
    let endpoint = value(S3Endpoint).or_else(|| value(Endpoint));
    let Some(endpoint) = endpoint else {
        return Ok(());
    };
    let parsed = Url::parse(&endpoint).ok();
    let is_web_server = |url: &Url| is_web(url.scheme()) && url.has_host();
    if !parsed.as_ref().is_some_and(is_web_server) {
        return config_err!(
            "'{}': its endpoint (aws.endpoint, or AWS_ENDPOINT_URL of the environment) is '{}', where the \
             address of a server is expected: https://host, or http://host:port with aws.allow_http 'true'",
            shown(url.as_str()),
            shown(&endpoint)
        );
    }
    let is_plain = parsed.is_some_and(|url| url.scheme() == "http");
    let is_allowed = value(Client(AllowHttp)).is_some_and(|value| {
        // As object_store reads it.
        ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
    });
    if !is_plain || is_allowed {
        return Ok(());
    }
    config_err!(
        "'{}': its endpoint (aws.endpoint, or AWS_ENDPOINT_URL of the environment) begins with \
         http://, which is not encrypted; if that is meant, set aws.allow_http 'true' (or \
         AWS_ALLOW_HTTP=true)",
        shown(url.as_str())
    )
}

#[cfg(not(feature = "aws"))]
async fn s3(
    url: &Url,
    _options: &StoreOptions,
    _answered: &Answered,
) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "aws")
}

#[cfg(feature = "gcp")]
fn gcs(url: &Url, options: &StoreOptions, answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
    let spelt = |name: &str| match name {
        // As datafusion-cli has it.
        "application_credentials_path" => Some("application_credentials".to_owned()),
        name => Some(name.to_owned()),
    };
    for (key, value) in keys::<GoogleConfigKey>(options, "gcp", &options::GCP, spelt)? {
        builder = builder.with_config(key, value);
    }
    let connector = transport::Connector::try_new(answered)?;
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

#[cfg(not(feature = "gcp"))]
fn gcs(url: &Url, _options: &StoreOptions, _answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "gcp")
}

#[cfg(feature = "azure")]
fn azure(url: &Url, options: &StoreOptions, answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

    let mut builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
    // It knows more, such as the container's name, which the address says.
    let spelt = |name: &str| options::AZURE.contains(&name).then(|| name.to_owned());
    for (key, value) in keys::<AzureConfigKey>(options, "azure", &options::AZURE, spelt)? {
        builder = builder.with_config(key, value);
    }
    let connector = transport::Connector::try_new(answered)?;
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

#[cfg(not(feature = "azure"))]
fn azure(url: &Url, _options: &StoreOptions, _answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "azure")
}

#[cfg(feature = "http")]
fn http(url: &Url, answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    use object_store::http::HttpBuilder;

    let connector = transport::Connector::try_new(answered)?;
    let http = object_store::ClientOptions::new().with_allow_http(url.scheme() == "http");
    let builder = HttpBuilder::new()
        .with_url(url.as_str())
        .with_client_options(http);
    Ok(Arc::new(builder.with_http_connector(connector).build()?))
}

#[cfg(not(feature = "http"))]
fn http(url: &Url, _answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "http")
}

#[cfg(feature = "http")]
fn hugging_face(url: &Url, answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    let store = super::hugging_face::HuggingFace::try_new(url, answered)?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "http"))]
fn hugging_face(url: &Url, _answered: &Answered) -> Result<Arc<dyn ObjectStore>> {
    not_compiled_in(url, "http")
}

#[cfg(not(all(feature = "aws", feature = "azure", feature = "gcp", feature = "http")))]
fn not_compiled_in(url: &Url, feature: &str) -> Result<Arc<dyn ObjectStore>> {
    plan_err!(
        "no object store is registered for '{}' and this program was built without the feature \
         '{feature}'; build it with that feature, or register a store with the session",
        super::address::shown(url.as_str())
    )
}
