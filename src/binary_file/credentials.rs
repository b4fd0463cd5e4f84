//! Which object store a location needs, and with which credentials.
//!
//! # In SQL
//!
//! `CREATE EXTERNAL TABLE … LOCATION 's3://bucket/folder/' OPTIONS (…)` makes the store of its
//! location. `s3a://` is read as `s3://`, so that paths of Spark jobs work.
//!
//! | option | meaning |
//! |---|---|
//! | `aws.access_key_id`, `aws.secret_access_key` | who asks; always both |
//! | `aws.session_token` | the third part of temporary credentials, as `aws sts get-session-token`, `aws sts assume-role` and single sign-on print them |
//! | `aws.region` | the bucket's region; without it and `aws.endpoint`, Amazon is asked |
//! | `aws.endpoint` | another server than Amazon's: MinIO, Ceph, R2, …; `us-east-1` is the region then, unless one is given |
//! | `aws.allow_http` | `true` allows an endpoint without TLS |
//! | `aws.skip_signature` | `true` asks anonymously, for public buckets |
//! | `aws.request_payer` | `true` reads buckets whose readers pay |
//! | `aws.virtual_hosted_style_request` | `true` puts the bucket's name into the host's |
//! | `aws.server_side_encryption`, `aws.sse_kms_key_id`, `aws.sse_bucket_key_enabled` | how what is written is encrypted (`AES256`, `aws:kms`, `aws:kms:dsse`), and with which key |
//! | `aws.unsigned_payload`, `aws.checksum_algorithm`, `aws.disable_tagging`, `aws.conditional_put`, `aws.copy_if_not_exists`, `aws.s3_express` | what some servers need or lack; values as in `object_store::aws::AmazonS3ConfigKey` |
//! | `aws.proxy_url`, `aws.proxy_excludes`, `aws.proxy_ca_certificate` | the way out of this network |
//! | `aws.timeout`, `aws.connect_timeout`, `aws.pool_idle_timeout` (`30s`), `aws.http1_only`, `aws.user_agent` | how requests are made |
//! | `azure.account_name` | the storage account of `az://container/` (feature `azure`) |
//! | `azure.account_key`, `azure.sas_token`, `azure.token` | a key of the account, a shared access signature, or a bearer token |
//! | `azure.client_id`, `azure.client_secret`, `azure.tenant_id`, `azure.authority_host`, `azure.federated_token_file`, `azure.use_azure_cli` | an application, a workload identity (Kubernetes), or whoever is signed in with `az login` |
//! | `azure.skip_signature`, `azure.endpoint`, `azure.allow_http`, `azure.use_emulator`, `azure.timeout` | anonymous; another server, without TLS; Azurite |
//! | `gcp.service_account_path`, `gcp.service_account_key`, `gcp.application_credentials_path` | credentials of `gs://` (feature `gcp`) |
//!
//! ```sql
//! CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 's3://fruits/Training/'
//! OPTIONS ('recursiveFileLookup' 'true', 'aws.region' 'eu-west-3',
//!          'aws.access_key_id' 'ASIA…', 'aws.secret_access_key' '…', 'aws.session_token' '…');
//! ```
//!
//! Without `aws.access_key_id`, credentials are looked for as the AWS command line does (feature
//! `cli`, which the program has): the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
//! `AWS_SESSION_TOKEN`; the profile `AWS_PROFILE`, or `default`, of `~/.aws/config` and
//! `~/.aws/credentials`, with its region, role and single sign-on; a web identity
//! (`AWS_WEB_IDENTITY_TOKEN_FILE`, on Kubernetes); the role of the container (ECS) or instance
//! (EC2). Where none is found, requests are anonymous. Credentials that expire are asked for anew a minute
//! before, also while a query runs, except those given as options.
//!
//! A library that is built without `cli` reads the variables, the web identity and the roles, but
//! no profiles. The other options have variables too: `aws.request_payer` is `AWS_REQUEST_PAYER`. A
//! certificate authority of your own is named by `SSL_CERT_FILE`, as for OpenSSL.
//!
//! Azure's options have variables too (`AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, …), and
//! without any of them the managed identity of the machine is asked. `abfss://container@account.dfs.core.windows.net/`
//! names container and account at once; a session can have one container of an account under it, and any
//! number under `az://`.
//!
//! Data sets of the Hugging Face hub, `hf://datasets/owner/repo[@revision]/path` (feature `http`), are read and
//! not written. They have no options: `HF_TOKEN` opens private ones, `HF_ENDPOINT` names another hub. The
//! revision `~parquet` is what the hub converts to Parquet. The hub does not tell when its files were changed.
//!
//! Options are the store's and not the table's: they are in no plan, no `SHOW CREATE TABLE` and no
//! log, and errors name an option but not its value. A store is made once a bucket, and every later
//! statement about the bucket goes to it: tables of all formats, `COPY`, `INSERT`, weights, and in the
//! program (or after [`enable_url_tables`](crate::enable_url_tables)) `SELECT … FROM 's3://…'`. What is
//! wrong is said alike for all of them. What the environment says is asked only for a bucket that no statement
//! has configured. A statement that names other credentials renews them, also for earlier tables; one
//! that names another endpoint, or options without the credentials that the store has, is an error
//! once the store has answered, because earlier tables would silently be read from another server, or
//! by somebody else.
//!
//! # In Rust
//!
//! [`register_object_store`] takes the same options:
//!
//! ```no_run
//! # use std::collections::HashMap;
//! # use datafusion::prelude::SessionContext;
//! use datafusion_featurize::binary_file::credentials::register_object_store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! let ctx = SessionContext::new();
//! let options = HashMap::from([("aws.region".to_owned(), "eu-west-3".to_owned())]);
//! register_object_store(&ctx.runtime_env(), "s3://fruits/", &options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A store that a program makes itself is registered as anywhere in DataFusion, with
//! `SessionContext::register_object_store`, and kept as long as no table is created with options
//! for its bucket. Give it `SpawnedReqwestConnector` and a runtime of its own, as the stores that
//! are made here have: inference keeps the threads of a query busy for seconds, and requests
//! driven by them time out.
//!
//! # When requests fail
//!
//! Requests that get no answer or one of 5xx, 429 or 408 are sent again, up to ten times in three
//! minutes, after pauses that grow from 0.1 to 15 seconds. Of an object that breaks off, the rest
//! is fetched. Wrong credentials, denied access, missing buckets and objects are not tried again;
//! the error names bucket and object, what the store says, and what to set. `EXPLAIN ANALYZE`
//! counts the repetitions (`list_retries`, `fetch_retries`).

pub use crate::object_stores::address::hide_secrets;
pub use crate::object_stores::{is_remote, is_store_option, opened_stores, register_object_store};
