//! Who may do what: one key, public buckets, and denials.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3ErrorCode, S3Result, s3_error};

use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

#[derive(Debug)]
pub(super) struct KnownKeys;

#[async_trait::async_trait]
impl S3Auth for KnownKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == ACCESS_KEY_ID {
            Ok(SecretKey::from(SECRET_ACCESS_KEY))
        } else {
            Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist."
            ))
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Policy {
    rules: Mutex<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    public: HashSet<String>,
    denied: HashSet<(String, String)>,
    token: Option<String>,
}

impl Policy {
    pub(super) fn make_public(&self, bucket: &str) {
        self.rules.lock().unwrap().public.insert(bucket.to_owned());
    }

    pub(super) fn deny(&self, bucket: &str, key: &str) {
        let rule = (bucket.to_owned(), key.to_owned());
        self.rules.lock().unwrap().denied.insert(rule);
    }

    pub(super) fn require_token(&self, token: &str) {
        self.rules.lock().unwrap().token = Some(token.to_owned());
    }

    fn check(&self, context: &S3AccessContext<'_>) -> S3Result<()> {
        let rules = self.rules.lock().unwrap();
        let (bucket, key) = match context.s3_path() {
            S3Path::Root => ("", ""),
            S3Path::Bucket { bucket } => (&**bucket, ""),
            S3Path::Object { bucket, key } => (&**bucket, &**key),
        };
        let denied = |key: &str| rules.denied.contains(&(bucket.to_owned(), key.to_owned()));
        if denied("") || denied(key) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        if context.credentials().is_none() {
            let reads = matches!(context.method().as_str(), "GET" | "HEAD");
            return if reads && rules.public.contains(bucket) {
                Ok(())
            } else {
                Err(s3_error!(AccessDenied, "Access Denied"))
            };
        }
        let token = context.headers().get("x-amz-security-token");
        let token = token.map(|token| String::from_utf8_lossy(token.as_bytes()));
        match (&rules.token, token) {
            (Some(expected), Some(found)) if *expected == found => Ok(()),
            (None, None) => Ok(()),
            (_, Some(_)) => Err(s3s::S3Error::with_message(
                S3ErrorCode::InvalidToken,
                "The provided token is malformed or otherwise invalid.",
            )),
            (Some(_), None) => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

pub(super) struct PolicyAccess(pub(super) Arc<Policy>);

#[async_trait::async_trait]
impl S3Access for PolicyAccess {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        self.0.check(context)
    }
}
