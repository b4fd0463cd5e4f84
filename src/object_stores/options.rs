//! Names of the options of stores, for those who mistype them.

use datafusion::common::{DataFusionError, plan_datafusion_err};

use crate::suggest::did_you_mean;

/// Those of S3, which begin with `aws.`.
#[cfg(feature = "aws")]
pub(super) const AWS: [&str; 26] = [
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "endpoint",
    "allow_http",
    "skip_signature",
    "request_payer",
    "virtual_hosted_style_request",
    "unsigned_payload",
    "checksum_algorithm",
    "s3_express",
    "disable_tagging",
    "conditional_put",
    "copy_if_not_exists",
    "server_side_encryption",
    "sse_kms_key_id",
    "sse_bucket_key_enabled",
    "proxy_url",
    "proxy_excludes",
    "proxy_ca_certificate",
    "timeout",
    "connect_timeout",
    "pool_idle_timeout",
    "http1_only",
    "user_agent",
];

/// How many of them say who asks, and whom: datafusion-cli looks for what they leave out. The others are
/// `object_store`'s own, of those that it knows the ones which a user of S3 may need.
#[cfg(all(feature = "aws", feature = "cli"))]
pub(super) const AWS_CREDENTIALS: usize = 7;

/// Those of Azure Blob Storage, which begin with `azure.`.
#[cfg(feature = "azure")]
pub(super) const AZURE: [&str; 15] = [
    "account_name",
    "account_key",
    "sas_token",
    "client_id",
    "client_secret",
    "tenant_id",
    "authority_host",
    "federated_token_file",
    "use_azure_cli",
    "token",
    "skip_signature",
    "endpoint",
    "use_emulator",
    "allow_http",
    "timeout",
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
