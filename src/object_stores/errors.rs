//! What a store's error means: in words that may be shown, and what to do about it.
//!
//! The errors of stores that are made here say so themselves ([`explained`]), whoever shows them: a
//! Parquet scan, a `COPY`, a table of ours. Those of other stores are [`told`] where we meet them.
//!
//! `object_store` has no type for most answers of S3; what their codes mean, [`answers`](super::answers)
//! knows.

use std::error::Error as StdError;
use std::fmt;

use object_store::Error;

use super::access::Access;
use super::address::{hide_secrets, shown};
use super::answers::{self, find_document, summary};
use super::xml::element;

/// The text of `error`, which somebody met at the store of the URL `bucket`, and what to do about it.
pub(crate) fn told(error: &Error, bucket: &str) -> String {
    let advice = match is_explained(error) {
        true => None,
        false => advice(error, bucket, Access::Read),
    };
    describe(error) + &advice.unwrap_or_default()
}

/// The text of `error`, without the XML around what a store says and the secrets of addresses.
pub(crate) fn describe(error: &Error) -> String {
    readable(&error.to_string())
}

/// S3 repeats in its errors the token that it refused and the request that was signed, headers
/// included. Neither may be shown, so only code and message are.
fn readable(text: &str) -> String {
    let text = hide_secrets(text);
    let Some((before, document, after)) = find_document(&text) else {
        return text;
    };
    let said = summary(document);
    format!("{before}{said}{after}")
}

/// An error whose text has been made [`readable`], with what to do about it.
#[derive(Debug)]
struct Explained {
    text: String,
    source: Source,
}

type Source = Box<dyn StdError + Send + Sync + 'static>;

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Explained {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// The same kind of error, which tells what is wrong at the store of the URL `bucket` and what to do.
pub(super) fn explained(mut error: Error, bucket: &str, access: Access) -> Error {
    if is_explained(&error) {
        return error;
    }
    let advice = advice(&error, bucket, access).unwrap_or_default();
    if let Some(source) = source_mut(&mut error) {
        let text = readable(&source.to_string()) + &advice;
        let nothing: Source = String::new().into();
        let inner = std::mem::replace(source, nothing);
        *source = Box::new(Explained {
            text,
            source: inner,
        });
    }
    error
}

fn is_explained(error: &Error) -> bool {
    error.source().is_some_and(<dyn StdError>::is::<Explained>)
}

fn source_mut(error: &mut Error) -> Option<&mut Source> {
    match error {
        Error::Generic { source, .. }
        | Error::NotFound { source, .. }
        | Error::NotSupported { source }
        | Error::AlreadyExists { source, .. }
        | Error::Precondition { source, .. }
        | Error::NotModified { source, .. }
        | Error::PermissionDenied { source, .. }
        | Error::Unauthenticated { source, .. } => Some(source),
        _ => None,
    }
}

/// Parts of the codes of answers with 400 that are about who asks, when, and where.
const OTHER_REASONS: [&str; 4] = ["Token", "Authorization", "RequestTime", "Redirect"];

/// Whether the answer may mean that the store does not know this kind of request: 400, 405 or 501,
/// for which `object_store` has no errors of their own.
pub(crate) fn is_unknown_request(error: &Error) -> bool {
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => true,
        Error::Generic { .. } => {
            let text = describe(error);
            let has = |status: &str| text.contains(&format!("status code: {status} "));
            let code = code(error).unwrap_or_default();
            let is_other = OTHER_REASONS.iter().any(|part| code.contains(part));
            has("405") || has("501") || (has("400") && !is_other)
        }
        _ => false,
    }
}

/// Whether an object is missing, in a bucket that is there.
pub(crate) fn is_missing_object(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && code(error).as_deref() != Some("NoSuchBucket")
}

/// What S3 calls the error.
fn code(error: &Error) -> Option<String> {
    answer(error).map(|(code, _)| code)
}

/// Code and document of S3's answer. That to a deletion of several objects has a code for each, and
/// `object_store` keeps no document of it.
fn answer(error: &Error) -> Option<(String, String)> {
    causes(error).find_map(|cause| {
        let text = cause.to_string();
        if let Some((_, document, _)) = find_document(&text) {
            let code = element(document, "Code")?.into_owned();
            return Some((code, document.to_owned()));
        }
        let (_, code) = text.split_once("(code: ")?;
        let (code, _) = code.split_once(')')?;
        Some((code.to_owned(), text.clone()))
    })
}

/// What to do about an error, as the end of a sentence that begins with `; `, if that is known.
/// `bucket` is the store's URL.
fn advice(error: &Error, bucket: &str, access: Access) -> Option<String> {
    let bucket = &shown(bucket);
    let (code, document) = answer(error).unwrap_or_default();
    let known = match answers::advice(&code, &document, bucket, access) {
        Some(known) => known,
        None if is_refused(error) || code == "AccessDenied" => refused(bucket, access),
        None if is_unreachable(error) => {
            format!("the store of '{bucket}' cannot be reached: check the network and aws.endpoint")
        }
        None => return None,
    };
    Some(format!("; {known}"))
}

fn refused(bucket: &str, access: Access) -> String {
    if bucket.starts_with("file:") {
        return "grant this user permission to read it".to_owned();
    }
    let (needed, or_else) = match access {
        Access::Read => (
            "s3:ListBucket on the bucket and s3:GetObject on its objects",
            "; aws.skip_signature 'true' reads public buckets, and aws.request_payer 'true' those whose \
             readers pay",
        ),
        Access::Write => ("s3:PutObject on the bucket's objects", ""),
        Access::Delete => (
            "s3:DeleteObject on the bucket's objects, which what a run leaves behind needs too",
            "",
        ),
    };
    format!(
        "grant the credentials {needed}, or set aws.access_key_id and aws.secret_access_key (or a \
         profile, AWS_PROFILE) of somebody who has them{or_else}"
    )
}

/// What to do if a store cannot even be made: the providers of credentials are asked then, and Amazon
/// for the region of a bucket. Other errors stay as they are.
#[cfg(all(feature = "aws", feature = "cli"))]
pub(super) fn not_opened(
    bucket: &url::Url,
    error: datafusion::common::DataFusionError,
) -> datafusion::common::DataFusionError {
    use datafusion::common::config_datafusion_err;

    let text = error.strip_backtrace();
    let bucket = shown(bucket.as_str());
    if let Some((_, why)) = text.split_once("Error getting credentials from provider: ") {
        return config_datafusion_err!(
            "no credentials for '{bucket}': {why}; set aws.access_key_id and \
             aws.secret_access_key, or a profile (AWS_PROFILE), or for a public bucket \
             aws.skip_signature 'true'"
        );
    }
    let of_region = ["Failed to resolve region", "Failed to parse the region"];
    let why = if of_region.iter().any(|part| text.contains(part)) {
        "Amazon did not say in which region the bucket is"
    } else if text.contains("Bucket '") && text.contains("' not found") {
        "Amazon knows no bucket of this name"
    } else {
        return error;
    };
    config_datafusion_err!(
        "'{bucket}': {why}; check the name of the bucket and set aws.region, or for another server \
         aws.endpoint (with aws.allow_http 'true' if it begins with http://)"
    )
}

/// Whether a store, or the operating system below it, denies access.
pub(crate) fn is_refused(error: &Error) -> bool {
    if matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    ) {
        return true;
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Whether an answer broke off after it had begun well. `object_store` fetches the rest of an
/// object by itself, but only where the store gives ETags and has not replaced the object, and
/// fetches no page of a listing again.
#[cfg(feature = "remote")]
pub(crate) fn broke_off(error: &Error) -> bool {
    use object_store::client::HttpError;
    // Requests that were given up have the error of the retries in between.
    matches!(error, Error::Generic { .. })
        && causes(error)
            .skip(1)
            .filter(|cause| !cause.is::<Explained>())
            .take(2)
            .any(<dyn StdError>::is::<HttpError>)
}

/// Without network stores, nothing breaks off.
#[cfg(not(feature = "remote"))]
pub(crate) fn broke_off(_error: &Error) -> bool {
    false
}

#[cfg(not(feature = "remote"))]
fn is_unreachable(_error: &Error) -> bool {
    false
}

#[cfg(feature = "remote")]
fn is_unreachable(error: &Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|e| e.kind() == HttpErrorKind::Connect)
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |cause| StdError::source(*cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(document: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: format!("403 Forbidden: {document}, after 2 retries").into(),
        }
    }

    #[test]
    fn only_code_and_message_are_shown() {
        let error = error(
            "<?xml version=\"1.0\"?>\n<Error><Code>InvalidToken</Code><Message>it isn&apos;t \
             &lt;good&gt;</Message><Token-0>hush</Token-0></Error>",
        );
        assert_eq!(
            describe(&error),
            "Generic S3 error: 403 Forbidden: InvalidToken: it isn't <good>, after 2 retries"
        );
        let said = told(&error, "s3://b/");
        assert!(said.contains("aws.session_token"), "{said}");
        // Told once, by whoever explains it first.
        let explained = explained(error, "s3://b/", Access::Write);
        assert_eq!(explained.to_string(), said);
        assert_eq!(told(&explained, "s3://b/"), said);
    }

    #[test]
    fn addresses_in_errors_are_shown_without_secrets() {
        let error = error(
            "GET http://u:hush@host/x?sig=hush in 1ms: url (https://u:hush@h/), 'http://h/?hush'",
        );
        assert_eq!(
            describe(&error),
            "Generic S3 error: 403 Forbidden: GET http://host/x?… in 1ms: url (https://h/), \
             'http://h/?…', after 2 retries"
        );
    }

    #[test]
    fn every_kind_of_request_needs_its_own_permission() {
        let denied = || Error::PermissionDenied {
            path: "x".to_owned(),
            source: "<Error><Code>AccessDenied</Code></Error>".into(),
        };
        let of_many = || Error::Generic {
            store: "S3",
            source: "DeleteObjects request failed for key x: no (code: AccessDenied)".into(),
        };
        for (error, access, needed) in [
            (denied(), Access::Read, "s3:GetObject"),
            (denied(), Access::Write, "s3:PutObject"),
            (denied(), Access::Delete, "s3:DeleteObject"),
            (of_many(), Access::Delete, "s3:DeleteObject"),
        ] {
            let error = explained(error, "s3://b/", access);
            assert!(error.to_string().contains(needed), "{error}");
            assert!(!error.to_string().contains("<Error>"), "{error}");
        }
        // What the kind of an error means to those who look for it is not lost.
        assert!(is_refused(&explained(denied(), "s3://b/", Access::Read)));
        let missing = |code: &str| Error::NotFound {
            path: "x".to_owned(),
            source: format!("<Error><Code>{code}</Code></Error>").into(),
        };
        for (code, expected) in [("NoSuchKey", true), ("NoSuchBucket", false)] {
            let error = explained(missing(code), "s3://b/", Access::Read);
            assert_eq!(is_missing_object(&missing(code)), expected);
            assert_eq!(is_missing_object(&error), expected);
        }
    }

    #[test]
    fn a_document_that_breaks_off_is_not_shown_either() {
        let coded = describe(&error("<Error><Code>X</Code><Token-0>hush"));
        assert!(coded.ends_with("403 Forbidden: X"), "{coded}");
        let nameless = describe(&error("<Error><Token-0>hush"));
        assert!(!nameless.contains("hush"), "{nameless}");
    }

    #[cfg(all(feature = "aws", feature = "cli"))]
    #[test]
    fn somebody_without_credentials_is_told_what_to_set() {
        use datafusion::common::DataFusionError;
        // As datafusion-cli words it.
        let from_providers = DataFusionError::ObjectStore(Box::new(Error::Generic {
            store: "S3",
            source: "Error getting credentials from provider: an error: no IMDS".into(),
        }));
        let bucket = url::Url::parse("s3://fruits").unwrap();
        let told = not_opened(&bucket, from_providers).strip_backtrace();
        assert!(
            told.contains("no credentials for 's3://fruits': an error: no IMDS; set aws.access"),
            "{told}"
        );
        for (why, expected) in [
            (
                "Failed to resolve region for bucket 'fruits'",
                "did not say in which region",
            ),
            ("Bucket 'fruits' not found", "knows no bucket"),
        ] {
            let from_amazon = DataFusionError::ObjectStore(Box::new(Error::Generic {
                store: "S3",
                source: why.into(),
            }));
            let told = not_opened(&bucket, from_amazon).strip_backtrace();
            assert!(
                told.contains(&format!("'s3://fruits': Amazon {expected}"))
                    && told.contains("set aws.region"),
                "{told}"
            );
        }
        let other = DataFusionError::Plan("x".to_owned());
        assert!(matches!(
            not_opened(&bucket, other),
            DataFusionError::Plan(_)
        ));
    }

    #[test]
    fn other_errors_are_shown_as_they_are() {
        let error = Error::NotImplemented {
            operation: "x".into(),
            implementer: "y".into(),
        };
        assert_eq!(describe(&error), error.to_string());
        assert_eq!(told(&error, "s3://b/"), error.to_string());
    }

    #[test]
    fn only_some_answers_may_mean_that_the_request_is_unknown() {
        let error = |status: &str| Error::Generic {
            store: "S3",
            source: format!("Server returned non-2xx status code: {status}: ").into(),
        };
        assert!(is_unknown_request(&error("501 Not Implemented")));
        assert!(is_unknown_request(&error("400 Bad Request")));
        assert!(!is_unknown_request(&error("500 Internal Server Error")));
        assert!(!is_unknown_request(&error("503 Slow Down (400)")));
        let expired = "400 Bad Request: <Error><Code>ExpiredToken</Code></Error>";
        assert!(!is_unknown_request(&error(expired)));
    }
}
