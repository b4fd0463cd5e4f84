//! Names of the options of stores, for those who mistype them.

use datafusion::common::{DataFusionError, plan_datafusion_err};

use crate::suggest::did_you_mean;

/// Those of S3, which begin with `aws.`.
#[cfg(feature = "aws")]
pub(super) const AWS: [&str; 7] = [
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "endpoint",
    "allow_http",
    "skip_signature",
];

/// Those of Google Cloud Storage, which begin with `gcp.`.
#[cfg(feature = "gcp")]
pub(super) const GCP: [&str; 3] = [
    "service_account_path",
    "service_account_key",
    "application_credentials_path",
];

/// The error of an option that a store does not take, without its value, which may be a secret.
pub(super) fn refused(key: &str, prefix: &str, names: &[&str]) -> DataFusionError {
    let known: Vec<String> = names
        .iter()
        .map(|name| format!("{prefix}.{name}"))
        .collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if known.contains(&key) {
        return plan_datafusion_err!("the value of the option '{key}' cannot be read");
    }
    plan_datafusion_err!(
        "there is no option '{key}'{}; the options of the store are {}",
        did_you_mean(key, &known),
        known.join(", ")
    )
}
