//! Credentials as the AWS command line finds them, asked for again before they expire.
//!
//! Profiles, roles, single sign-on and programs (`credential_process`) give credentials that hold for an
//! hour or so. The SDK's providers ask whoever gives them each time, by a request or by starting a program,
//! and `object_store` asks for credentials before each of its own requests. What is given is therefore kept.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use datafusion::common::{Result, config_datafusion_err};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

/// How long before their end credentials are asked for anew.
const EARLY: Duration = Duration::from_secs(60);
/// How long credentials without an end are kept, since the file that they come from may change.
const ENDLESS: Duration = Duration::from_secs(300);

/// What the environment says of Amazon: variables, profiles, roles.
pub(super) struct Environment {
    pub(super) region: Option<String>,
    /// `None` where there are no credentials, so that requests are anonymous.
    pub(super) credentials: Option<Arc<Renewing>>,
}

/// Looks for credentials, and asks for them once.
///
/// # Errors
/// When there are some, and they cannot be had.
pub(super) async fn of_environment() -> Result<Environment> {
    let config = aws_config::defaults(BehaviorVersion::latest());
    let config = Box::pin(config.load()).await;
    let mut environment = Environment {
        region: config.region().map(ToString::to_string),
        credentials: None,
    };
    if let Some(provider) = config.credentials_provider() {
        let renewing = Renewing::new(provider);
        match renewing.current().await {
            Ok(_) => environment.credentials = Some(Arc::new(renewing)),
            Err(CredentialsError::CredentialsNotLoaded(_)) => {}
            Err(error) => return Err(config_datafusion_err!("{}", described(&error))),
        }
    }
    Ok(environment)
}

fn described(error: &CredentialsError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("AWS credentials: {error}{}", cause.unwrap_or_default())
}

/// Credentials that are kept until shortly before their end.
pub(super) struct Renewing {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    credential: Arc<AwsCredential>,
    /// When to ask again.
    until: SystemTime,
    expires: Option<SystemTime>,
}

impl Renewing {
    fn new(provider: SharedCredentialsProvider) -> Self {
        Self {
            provider,
            kept: Mutex::default(),
        }
    }

    /// What is kept, or else what the provider gives. Whoever comes meanwhile waits for the same answer.
    async fn current(&self) -> Result<Arc<AwsCredential>, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.until) {
            return Ok(Arc::clone(&kept.credential));
        }
        match self.provider.provide_credentials().await {
            Ok(given) => {
                let given = Kept::new(&given, now);
                Ok(Arc::clone(&kept.insert(given).credential))
            }
            // Whoever gives them may be back before they end.
            Err(error) => match kept
                .as_ref()
                .filter(|kept| kept.expires.is_some_and(|e| now < e))
            {
                Some(kept) => Ok(Arc::clone(&kept.credential)),
                None => Err(error),
            },
        }
    }
}

impl Kept {
    fn new(given: &Credentials, now: SystemTime) -> Self {
        let expires = given.expiry();
        Self {
            credential: Arc::new(AwsCredential {
                key_id: given.access_key_id().to_owned(),
                secret_key: given.secret_access_key().to_owned(),
                token: given.session_token().map(ToOwned::to_owned),
            }),
            until: match expires {
                Some(end) => end.checked_sub(EARLY).unwrap_or(now),
                None => now + ENDLESS,
            },
            expires,
        }
    }
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for Renewing {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let current = self.current().await;
        current.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: described(&error).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Gives numbered credentials that hold for some seconds, and then no more.
    #[derive(Debug)]
    struct Numbered {
        asked: Arc<AtomicUsize>,
        holds: Option<u64>,
        last: usize,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            if number > self.last {
                return future::ProvideCredentials::ready(Err(CredentialsError::unhandled("gone")));
            }
            let end = self
                .holds
                .map(|s| SystemTime::now() + Duration::from_secs(s));
            let given = Credentials::new(format!("id{number}"), "hush", None, end, "test");
            future::ProvideCredentials::ready(Ok(given))
        }
    }

    fn numbered(holds: Option<u64>, last: usize) -> (Renewing, Arc<AtomicUsize>) {
        let asked = Arc::<AtomicUsize>::default();
        let provider = Numbered {
            asked: Arc::clone(&asked),
            holds,
            last,
        };
        (
            Renewing::new(SharedCredentialsProvider::new(provider)),
            asked,
        )
    }

    #[tokio::test]
    async fn what_holds_is_kept_and_what_ends_is_asked_for_anew() {
        for (holds, expected) in [(Some(3600), 1), (None, 1), (Some(30), 5)] {
            let (renewing, asked) = numbered(holds, 100);
            for _ in 0..5 {
                renewing.get_credential().await.unwrap();
            }
            assert_eq!(asked.load(Ordering::SeqCst), expected, "{holds:?}");
        }
    }

    #[tokio::test]
    async fn many_at_once_ask_once() {
        let (renewing, asked) = numbered(Some(3600), 100);
        let all = (0..50).map(|_| renewing.get_credential());
        for one in futures::future::join_all(all).await {
            assert_eq!(one.unwrap().key_id, "id0");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let shown = format!("{renewing:?}");
        assert!(!shown.contains("hush") && !shown.contains("id0"), "{shown}");
    }

    #[tokio::test]
    async fn what_still_holds_serves_when_no_more_is_given() {
        let (renewing, _) = numbered(Some(30), 0);
        for _ in 0..3 {
            assert_eq!(renewing.get_credential().await.unwrap().key_id, "id0");
        }
        let (renewing, _) = numbered(Some(0), 0);
        renewing.get_credential().await.unwrap();
        let error = renewing.get_credential().await.unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
