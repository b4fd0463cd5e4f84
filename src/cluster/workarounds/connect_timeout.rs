//! Waiting for a scheduler that is not there yet.
//!
//! # To be filed upstream
//!
//! > **ballista-executor 55.0: an executor waits for its scheduler for ever**
//! >
//! > `start_executor_process` (`executor_process.rs`) takes `Instant::now().elapsed().as_secs()`, which is 0, for
//! > the time at which it has begun, and compares the same expression, which is 0 again, with
//! > `scheduler_connect_timeout_seconds`: the time never passes. It should keep the `Instant` and ask for its
//! > `elapsed()`.

use std::time::{Duration, Instant};

use ballista_executor::executor_process::ExecutorProcessConfig;
use datafusion::common::{Result, exec_err};

use crate::cluster::link::Link;
use crate::cluster::tls::{Dialer, Refusal, Security};

/// Waits for the scheduler, as long as was said, and finds out whether it lets this executor in.
pub(in crate::cluster) async fn reach_scheduler(
    config: &ExecutorProcessConfig,
    dialer: Option<&Dialer>,
) -> Result<()> {
    let (host, port) = (config.scheduler_host.as_str(), config.scheduler_port);
    let until =
        Instant::now() + Duration::from_secs(config.scheduler_connect_timeout_seconds.into());
    loop {
        let reached = match dialer {
            Some(dialer) => dialer.probe(host, port).await,
            None => match tokio::net::TcpStream::connect((host, port)).await {
                Ok(_) => {
                    let link = Link::try_new(host.to_owned(), port, &Security::default())?;
                    return link.check_plaintext(&format!("{host}:{port}")).await;
                }
                Err(e) => Err(Refusal::NotThere(e.to_string())),
            },
        };
        match reached {
            Ok(()) => return Ok(()),
            Err(Refusal::Tls(why)) => {
                return exec_err!(
                    "no TLS connection to the scheduler at {host}:{port}: {why}; expected certificates of \
                     the same authority on both sides (--tls-ca), the scheduler's for this name"
                );
            }
            Err(Refusal::NotThere(why)) if Instant::now() >= until => {
                return exec_err!(
                    "there is no scheduler at {host}:{port} ({why}), also not after {} s \
                     (--scheduler-connect-timeout-seconds); 'featurize scheduler' starts one",
                    config.scheduler_connect_timeout_seconds
                );
            }
            Err(Refusal::NotThere(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
