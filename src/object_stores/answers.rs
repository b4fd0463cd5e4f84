//! S3's error documents: what is kept of them, and what to do about each code.
//!
//! Codes and elements are part of S3's interface; the sentences around them are not. `object_store` hands
//! the document on as a part of the error's text, from where it is read again.

use std::borrow::Cow;

use super::access::Access;
use super::xml::element;
#[cfg(any(feature = "aws", feature = "gcp", feature = "http", test))]
use super::xml::raw_element;

/// The elements of a document that are about the request and hold no secret. S3 also repeats the token
/// that it refused and the request that was signed, headers included.
#[cfg(any(feature = "remote", test))]
const KEPT: [&str; 5] = ["Code", "Message", "Region", "StorageClass", "ServerTime"];

/// What is before, in and after the error document in a text.
pub(super) fn find_document(text: &str) -> Option<(&str, &str, &str)> {
    const END: &str = "</Error>";
    let start = text.find("<Error>")?;
    let end = text[start..]
        .find(END)
        .map_or(text.len(), |end| start + end + END.len());
    let before = &text[..start];
    let before = before.find("<?xml").map_or(before, |xml| &before[..xml]);
    Some((before, &text[start..end], &text[end..]))
}

/// The document with nothing but what is kept, and the bucket's region where S3 says it beside the
/// document; `None` if `text` is no such document.
#[cfg(any(feature = "remote", test))]
pub(super) fn without_details(text: &str, region: Option<&str>) -> Option<String> {
    let (_, document, _) = find_document(text)?;
    let kept = KEPT.iter().filter_map(|name| {
        let said = raw_element(document, name);
        let said = said.or_else(|| region.filter(|_| *name == "Region"));
        Some(format!("<{name}>{}</{name}>", said?))
    });
    Some(format!("<Error>{}</Error>", kept.collect::<String>()))
}

/// The document that S3 leaves out where it has no room for one, as in answers to `HEAD`.
#[cfg(any(feature = "remote", test))]
pub(super) fn of_other_region(region: &str) -> String {
    format!(
        "<Error><Code>PermanentRedirect</Code><Message>the bucket is in another \
         region</Message><Region>{region}</Region></Error>"
    )
}

/// An error document as a person reads it.
pub(super) fn summary(document: &str) -> String {
    match (element(document, "Code"), element(document, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(said), None) | (None, Some(said)) => said.into_owned(),
        (None, None) => "an answer without a code".to_owned(),
    }
}

/// What to do about an answer with this code, if that is known; `bucket` is the store's URL.
pub(super) fn advice(code: &str, document: &str, bucket: &str, access: Access) -> Option<String> {
    let said = |name| element(document, name).map(Cow::into_owned);
    Some(match code {
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
            "the session has ended or its token is wrong: get new temporary credentials, set \
             aws.access_key_id, aws.secret_access_key and aws.session_token, and run the statement \
             again; what has been committed stays"
                .to_owned()
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => match said("Region") {
            Some(region) => format!("the bucket is in another region: set aws.region '{region}'"),
            None => "the bucket is in another region: set aws.region".to_owned(),
        },
        "RequestTimeTooSkewed" => match said("ServerTime") {
            Some(time) => format!("set this machine's clock: the store's says {time}"),
            None => "set this machine's clock".to_owned(),
        },
        "SlowDown" | "ServiceUnavailable" | "TooManyRequests" | "RequestLimitExceeded" => {
            "the store wants fewer requests at once: lower featurize.scan_concurrency and run the \
             statement again"
                .to_owned()
        }
        "InvalidObjectState" => {
            let class = said("StorageClass").unwrap_or_else(|| "GLACIER".to_owned());
            format!(
                "the object is in an archive ({class}): restore it first (aws s3api restore-object), \
                 or leave it out with a predicate on its path"
            )
        }
        code => return key_of_kms(code, &said("Message").unwrap_or_default(), access),
    })
}

/// Of keys that encrypt objects, S3 has codes only if they are gone; that somebody may not use them is
/// `AccessDenied` to it, and the action that is denied stands in the message.
fn key_of_kms(code: &str, message: &str, access: Access) -> Option<String> {
    let mut words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
    let action = words.find(|word| word.starts_with("kms:") && word.len() > "kms:".len());
    let usual = match access {
        Access::Read | Access::Delete => "kms:Decrypt",
        Access::Write => "kms:GenerateDataKey",
    };
    let state = code.strip_prefix("KMS.");
    match (state, action) {
        (Some("AccessDeniedException"), _) | (None, Some(_)) => Some(format!(
            "the object is encrypted with a key of KMS: grant the credentials {} on that key",
            action.unwrap_or(usual)
        )),
        (Some(_), _) => Some(
            "the key of KMS that the object is encrypted with cannot be used: enable or restore it"
                .to_owned(),
        ),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Amazon answers, from its documentation and from the wire.
    const ARCHIVED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\
        <Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage \
        class</Message><StorageClass>DEEP_ARCHIVE</StorageClass><RequestId>9FEFFF118E15B86F</RequestId>\
        <HostId>WVQ5kzhiT+oiUfDCOiOYv8W4Tk9eNcxWi/MK+hTS/av34Xy4rBU3zsavf0aaaaa</HostId></Error>";
    const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the \
        request time and the current time is too large.</Message><RequestTime>20261128T000000Z\
        </RequestTime><ServerTime>2026-11-28T03:00:00Z</ServerTime><MaxAllowedSkewMilliseconds>900000\
        </MaxAllowedSkewMilliseconds></Error>";
    const MALFORMED: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization \
        header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-3'</Message><Region>\
        eu-west-3</Region><RequestId>x</RequestId></Error>";
    const REDIRECT: &str = "<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting \
        to access must be addressed using the specified endpoint.</Message><Endpoint>\
        b.s3.eu-west-3.amazonaws.com</Endpoint><Bucket>b</Bucket></Error>";
    const KMS: &str = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not \
        authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-3:1:key/2 because no \
        identity-based policy allows the kms:GenerateDataKey action</Message></Error>";
    const DISABLED: &str = "<Error><Code>KMS.DisabledException</Code><Message>x is disabled.</Message>\
        </Error>";
    const SLOW: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>\
        </Error>";
    const EXPIRED: &str = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.\
        </Message><Token-0>hush</Token-0></Error>";
    const SIGNATURE: &str = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we \
        calculated does not match</Message><AWSAccessKeyId>A</AWSAccessKeyId><StringToSign>hush\
        </StringToSign></Error>";

    #[test]
    fn every_code_has_its_own_advice() {
        for (document, region, expected) in [
            (ARCHIVED, None, "in an archive (DEEP_ARCHIVE): restore it"),
            (SKEWED, None, "the store's says 2026-11-28T03:00:00Z"),
            (MALFORMED, None, "set aws.region 'eu-west-3'"),
            (REDIRECT, Some("eu-west-3"), "set aws.region 'eu-west-3'"),
            (REDIRECT, None, "set aws.region"),
            (KMS, None, "grant the credentials kms:GenerateDataKey"),
            (DISABLED, None, "cannot be used: enable or restore it"),
            (SLOW, None, "lower featurize.scan_concurrency"),
            (EXPIRED, None, "what has been committed stays"),
            (SIGNATURE, None, "does not belong to aws.access_key_id"),
        ] {
            let kept = without_details(document, region).unwrap();
            assert!(!kept.contains("hush") && !kept.contains("HostId"), "{kept}");
            let code = element(&kept, "Code").unwrap();
            let told = advice(&code, &kept, "s3://b", Access::Read).unwrap();
            assert!(told.contains(expected), "{told}");
        }
        let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(advice("AccessDenied", denied, "s3://b", Access::Read), None);
    }
}
