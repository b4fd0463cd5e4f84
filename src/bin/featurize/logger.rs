//! The log, in which no secret appears.
//!
//! What this extension warns of is for whoever has typed the statement, and looks like what else is said to
//! them.
//!
//! DataFusion logs plans and statements at the levels `debug` and `trace`, and with them the options of
//! stores. A message ends where the first of these begins. Addresses of the web are shown without user,
//! password and query.

use datafusion_featurize::NOTICE;
use datafusion_featurize::binary_file::credentials::hide_secrets;
use env_logger::Logger;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::progress::BARS;

/// What stands before a secret: names of options and variables, and parts of signed addresses.
const SECRETS: [&str; 7] = [
    "secret_access_key",
    "session_token",
    "service_account_key",
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
    // As an address is printed for programmers.
    "password: some(",
];

/// Starts logging as `RUST_LOG` says, by default our warnings and all errors; `quiet` leaves out what
/// only tells.
pub(crate) fn start(quiet: bool) {
    let notices = if quiet {
        LevelFilter::Off
    } else {
        LevelFilter::Warn
    };
    let logger = env_logger::Builder::new()
        .filter_level(LevelFilter::Error)
        .filter_module("datafusion_featurize", LevelFilter::Warn)
        .filter_module(NOTICE, notices)
        .filter_module("datafusion_functions_pca", LevelFilter::Warn)
        // What it says of a query that has failed is the query's error, which is shown anyway.
        .filter_module(
            "ballista_core::execution_plans::distributed_query",
            LevelFilter::Off,
        )
        .parse_default_env()
        // Below this level it logs statements word by word.
        .filter_module("sqlparser", LevelFilter::Info)
        .build();
    log::set_max_level(logger.filter());
    // There is none yet: this is the beginning of the program.
    let _ = log::set_boxed_logger(Box::new(Redacting(logger)));
}

struct Redacting(Logger);

impl Log for Redacting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let text = hide_secrets(&text);
        let text = without_secrets(&text).unwrap_or(text);
        // Above the bars, which are drawn again.
        BARS.suspend(|| match heading(record.metadata()) {
            Some(heading) => eprintln!("{heading}: {text}"),
            None => self.0.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .module_path(record.module_path())
                    .file(record.file())
                    .line(record.line())
                    .args(format_args!("{text}"))
                    .build(),
            ),
        });
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// What stands before a message that is for people.
fn heading(message: &Metadata<'_>) -> Option<&'static str> {
    let target = message.target();
    let ours = ["datafusion_featurize", "datafusion_functions_"];
    let is_ours = ours.iter().any(|name| target.starts_with(name));
    match (is_ours && message.level() == Level::Warn, target) {
        (true, NOTICE) => Some("Note"),
        (true, _) => Some("Warning"),
        (false, _) => None,
    }
}

/// The text up to the first secret, if there is one.
fn without_secrets(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let ends = SECRETS.iter().filter_map(|name| {
        let start = lower.find(name)?;
        Some(start + name.len())
    });
    let end = ends.min()?;
    Some(format!("{} … (not shown)", text.get(..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_a_secret_begins() {
        for text in [
            "CopyTo: options: (aws.secret_access_key hush, aws.region x)",
            "AWS_SESSION_TOKEN=hush",
            "Some(\"aws.secret_access_key\"): \"hush\" aws.session_token: hush",
            "GET /x?X-Amz-Date=1&X-Amz-Signature=hush",
            "Url { username: \"me\", password: Some(\"hush\") }",
            "ünïcode gcp.service_account_key {\"private_key\": \"hush\"}",
        ] {
            let shown = without_secrets(text).unwrap();
            assert!(!shown.contains("hush"), "{shown}");
            assert!(shown.ends_with("(not shown)"), "{shown}");
        }
        assert_eq!(without_secrets("aws.region x"), None);
    }
}
