//! What a store's error means: in words that may be shown, and what to do about it.
//!
//! `object_store` has no type for most answers of S3. Their `<Code>` is part of S3's interface,
//! and it is in the text of the error, so it is read from there.

use object_store::Error;

use super::xml::element;
#[cfg(any(feature = "aws", feature = "gcp", feature = "http", test))]
use super::xml::raw_element;

/// The text of `error`, without the XML around what a store says and the secrets of addresses.
///
/// S3 repeats in its errors the token that it refused and the request that was signed, headers
/// included. Neither may be shown, so only code and message are.
pub(crate) fn describe(error: &Error) -> String {
    let text = hide_secrets(&error.to_string());
    let Some((before, document, after)) = find_document(&text) else {
        return text;
    };
    let said = match (element(document, "Code"), element(document, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(said), None) | (None, Some(said)) => said.into_owned(),
        (None, None) => "an answer without a code".to_owned(),
    };
    format!("{before}{said}{after}")
}

/// A location as it may be shown: without user name and password, and of an address of the web
/// without its query, which may be a signature. A `?` that is encoded may be one too.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let query = ["?", "%3F", "%3f"]
        .iter()
        .filter_map(|mark| rest.find(mark));
    let (rest, end) = match query.min() {
        Some(query) if is_web => (&rest[..query], "?…"),
        _ => (rest, ""),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}{end}")
}

/// `text` with every address of the web in it as it may be [`shown`].
fn hide_secrets(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(start) = ["http://", "https://"]
        .iter()
        .filter_map(|s| rest.find(s))
        .min()
    {
        let (before, url) = rest.split_at(start);
        let is_end = |c: char| c.is_whitespace() || "'\"<>".contains(c);
        let (url, after) = url.split_at(url.find(is_end).unwrap_or(url.len()));
        told += before;
        told += &shown(url);
        rest = after;
    }
    told + rest
}

/// S3's error document with nothing but code and message; `None` if `text` is no such document.
#[cfg(any(feature = "aws", feature = "gcp", feature = "http", test))]
pub(super) fn without_details(text: &str) -> Option<String> {
    let (_, document, _) = find_document(text)?;
    let raw = |name| raw_element(document, name).unwrap_or_default();
    Some(format!(
        "<Error><Code>{}</Code><Message>{}</Message></Error>",
        raw("Code"),
        raw("Message")
    ))
}

/// Codes of answers with 400 that are about who asks, and when.
const OTHER_REASONS: [&str; 3] = ["Token", "Authorization", "RequestTime"];

/// Whether the answer may mean that the store does not know this kind of request: 400, 405 or 501,
/// for which `object_store` has no errors of their own.
pub(crate) fn is_unknown_request(error: &Error) -> bool {
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => true,
        Error::Generic { .. } => {
            let text = describe(error);
            let has = |status: &str| text.contains(&format!("status code: {status} "));
            let is_other = OTHER_REASONS.iter().any(|code| text.contains(code));
            has("405") || has("501") || (has("400") && !is_other)
        }
        _ => false,
    }
}

/// What to do about an error, as the end of a sentence that begins with `; `, if that is known.
/// `bucket` is the store's URL.
pub(crate) fn advice(error: &Error, bucket: &str) -> Option<String> {
    let bucket = &shown(bucket);
    let text = error.to_string();
    let code = find_document(&text).and_then(|(_, document, _)| element(document, "Code"));
    let known = match code.as_deref().unwrap_or_default() {
        "NoSuchBucket" => {
            format!("there is no bucket at '{bucket}': check its name, aws.endpoint and aws.region")
        }
        "InvalidAccessKeyId" => {
            "check aws.access_key_id; temporary credentials need aws.session_token too".to_owned()
        }
        "SignatureDoesNotMatch" => {
            "aws.secret_access_key does not belong to aws.access_key_id: check both".to_owned()
        }
        "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired" => {
            "the session has ended or its token is wrong: get new temporary credentials, and set \
             aws.access_key_id, aws.secret_access_key and aws.session_token"
                .to_owned()
        }
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "the bucket is in another region: set aws.region".to_owned()
        }
        "RequestTimeTooSkewed" => "set this machine's clock".to_owned(),
        _ if text.contains("redirect without LOCATION") => {
            "the bucket is in another region: set aws.region".to_owned()
        }
        _ if is_refused(error) || code.as_deref() == Some("AccessDenied") => {
            return Some(refused(bucket));
        }
        _ if is_unreachable(error) => {
            format!("the store of '{bucket}' cannot be reached: check the network and aws.endpoint")
        }
        _ => return None,
    };
    Some(format!("; {known}"))
}

/// What to do if the providers of credentials, which are asked when a store is made, have failed.
/// Other errors stay as they are.
#[cfg(all(feature = "aws", feature = "cli"))]
pub(super) fn no_credentials(
    bucket: &url::Url,
    error: datafusion::common::DataFusionError,
) -> datafusion::common::DataFusionError {
    let text = error.strip_backtrace();
    let Some((_, why)) = text.split_once("Error getting credentials from provider: ") else {
        return error;
    };
    datafusion::common::config_datafusion_err!(
        "no credentials for '{bucket}': {why}; set aws.access_key_id and aws.secret_access_key, \
         or a profile (AWS_PROFILE), or for a public bucket aws.skip_signature 'true'"
    )
}

fn refused(bucket: &str) -> String {
    if bucket.starts_with("file:") {
        "; grant this user permission to read it".to_owned()
    } else {
        "; grant the credentials s3:ListBucket on the bucket and s3:GetObject on its objects, or \
         set aws.access_key_id and aws.secret_access_key (or a profile, AWS_PROFILE) of somebody \
         who has them; aws.skip_signature 'true' reads public buckets"
            .to_owned()
    }
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
#[cfg(any(feature = "aws", feature = "gcp", feature = "http"))]
pub(crate) fn broke_off(error: &Error) -> bool {
    use object_store::client::HttpError;
    let Error::Generic { source, .. } = error else {
        return false;
    };
    // Requests that were given up have the error of the retries in between.
    let cause = source.source();
    source.is::<HttpError>() || cause.is_some_and(|cause| cause.is::<HttpError>())
}

/// Without network stores, nothing breaks off.
#[cfg(not(any(feature = "aws", feature = "gcp", feature = "http")))]
pub(crate) fn broke_off(_error: &Error) -> bool {
    false
}

#[cfg(not(any(feature = "aws", feature = "gcp", feature = "http")))]
fn is_unreachable(_error: &Error) -> bool {
    false
}

#[cfg(any(feature = "aws", feature = "gcp", feature = "http"))]
fn is_unreachable(error: &Error) -> bool {
    use object_store::client::{HttpError, HttpErrorKind};
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|e| e.kind() == HttpErrorKind::Connect)
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |cause| cause.source())
}

/// What is before, in and after S3's error document.
fn find_document(text: &str) -> Option<(&str, &str, &str)> {
    const END: &str = "</Error>";
    let start = text.find("<Error>")?;
    let end = text[start..]
        .find(END)
        .map_or(text.len(), |end| start + end + END.len());
    let before = &text[..start];
    let before = before.find("<?xml").map_or(before, |xml| &before[..xml]);
    Some((before, &text[start..end], &text[end..]))
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
        assert!(
            advice(&error, "s3://b/")
                .unwrap()
                .contains("aws.session_token")
        );
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, expected) in [
            ("http://u:hush@host/a@b/c", "http://host/a@b/c"),
            (
                "https://host/a.jpg?X-Amz-Signature=hush",
                "https://host/a.jpg?…",
            ),
            ("http://host?sig=hu/sh@x", "http://host?…"),
            ("http://host/a%3Fsig%3Dhush", "http://host/a?…"),
            ("s3://b/a?.jpg", "s3://b/a?.jpg"),
            ("/data/a?.jpg", "/data/a?.jpg"),
        ] {
            assert_eq!(shown(url), expected);
        }
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
    fn a_document_that_breaks_off_is_not_shown_either() {
        let coded = describe(&error("<Error><Code>X</Code><Token-0>hush"));
        assert!(coded.ends_with("403 Forbidden: X"), "{coded}");
        let nameless = describe(&error("<Error><Token-0>hush"));
        assert!(!nameless.contains("hush"), "{nameless}");
    }

    #[test]
    fn details_are_dropped_from_the_answer() {
        let answer =
            "<Error><Code>A</Code><Message>m &amp; n</Message><Token-0>hush</Token-0></Error>";
        assert_eq!(
            without_details(answer).unwrap(),
            "<Error><Code>A</Code><Message>m &amp; n</Message></Error>"
        );
        assert_eq!(without_details("<html>502</html>"), None);
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
        let told = no_credentials(&bucket, from_providers).strip_backtrace();
        assert!(
            told.contains("no credentials for 's3://fruits': an error: no IMDS; set aws.access"),
            "{told}"
        );
        let other = DataFusionError::Plan("x".to_owned());
        assert!(matches!(
            no_credentials(&bucket, other),
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
        assert_eq!(advice(&error, "s3://b/"), None);
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
