//! Web servers and the Hugging Face hub, as clients of `object_store`.

use std::sync::Arc;
use std::time::Duration;

use ::url::Url;
use base64::Engine;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use percent_encoding::percent_decode_str;

use super::url::{self as addresses, WeightsUrl};
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN_VARIABLE: &str = "HF_TOKEN";

/// A store of this one file. Its root is the whole address, so that an encoded path and a
/// query arrive as they were written.
pub(super) fn open(url: &WeightsUrl) -> Result<(Arc<dyn ObjectStore>, Path)> {
    // How long a request takes depends on the file; the download looks after stalls and
    // retries by itself.
    let mut options = ClientOptions::new()
        .with_allow_http(true)
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT);
    if let Some(value) = authorization(url) {
        options = with_authorization(options, value)
            .map_err(|what| Error::Configuration(format!("weights at {url}: {what}")))?;
    }
    let mut address = url.url().clone();
    // They fail where there is no host, and then there are none to remove.
    let _ = address.set_username("");
    let _ = address.set_password(None);
    let retries = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let store = HttpBuilder::new()
        .with_url(address)
        .with_client_options(options)
        .with_retry(retries)
        .build();
    match store {
        Ok(store) => Ok((Arc::new(store), Path::default())),
        Err(error) => Err(Error::Configuration(format!(
            "no web client could be made for {url}: {}",
            url.redact(&error.to_string())
        ))),
    }
}

fn authorization(url: &WeightsUrl) -> Option<String> {
    let (user, password) = (url.url().username(), url.url().password());
    if !user.is_empty() || password.is_some() {
        let mut plain: Vec<u8> = percent_decode_str(user).collect();
        plain.push(b':');
        plain.extend(percent_decode_str(password.unwrap_or_default()));
        let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
        return Some(format!("Basic {encoded}"));
    }
    url.is_hub().then(hub_authorization)?
}

fn hub_authorization() -> Option<String> {
    let token = std::env::var(TOKEN_VARIABLE).ok();
    let token = token.filter(|token| !token.is_empty())?;
    Some(format!("Bearer {token}"))
}

fn with_authorization(
    options: ClientOptions,
    value: String,
) -> Result<ClientOptions, &'static str> {
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_| "the credentials hold characters that no header can")?;
    value.set_sensitive(true);
    Ok(options.with_default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)])))
}

/// The address of the Hugging Face hub, `HF_ENDPOINT` or <https://huggingface.co>, and how it is asked:
/// with the token in `HF_TOKEN`, if there is one.
///
/// # Errors
///
/// [`Error::Configuration`] if one of the two variables holds what it cannot.
pub fn hub() -> Result<(Url, ClientOptions)> {
    let failed = |what: &str| Error::Configuration(format!("the Hugging Face hub: {what}"));
    let hub = Url::parse(&addresses::hub()).ok();
    let hub = hub.filter(|hub| matches!(hub.scheme(), "http" | "https") && hub.has_host());
    let hub = hub.ok_or_else(|| failed("HF_ENDPOINT is not the address of a web server"))?;
    let options = ClientOptions::new().with_allow_http(hub.scheme() == "http");
    let options = match hub_authorization() {
        Some(value) => with_authorization(options, value).map_err(failed)?,
        None => options,
    };
    Ok((hub, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication() {
        let url = WeightsUrl::parse("https://Aladdin:open%20sesame@h/w.h5").unwrap();
        // The example of RFC 7617.
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(authorization(&url).as_deref(), Some(expected));
        let url = WeightsUrl::parse("https://h/w.h5").unwrap();
        assert_eq!(authorization(&url), None);
    }
}
