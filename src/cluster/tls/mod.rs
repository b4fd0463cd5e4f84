//! Mutual TLS between the processes of a cluster, and a token of clients.
//!
//! | file | |
//! |---|---|
//! | `security` | what a process is told: files of certificates, a token |
//! | `files`, `token` | reads them, again when they change |
//! | `config` | what both ends of a connection demand |
//! | `incoming`, `handshakes`, `guard` | the way in: who is let in, whose turn it is, and who may ask what |
//! | `scheduler`, `executor` | the ports of both |
//! | `dialer`, `refusal` | the way out, and why there is none |
//! | `make` | certificates for trials |

mod config;
#[cfg(unix)]
mod dialer;
#[cfg(not(unix))]
#[path = "dialer_elsewhere.rs"]
mod dialer;
mod executor;
mod files;
mod guard;
mod handshakes;
mod incoming;
mod make;
mod refusal;
mod scheduler;
mod security;
mod token;

pub(super) use dialer::Dialer;
pub(super) use executor::secure as secure_executor;
pub use files::TlsFiles;
pub(super) use guard::READY;
pub use make::{CERTIFICATE_DAYS, make_certificates};
pub(super) use refusal::Refusal;
pub(super) use scheduler::SecureScheduler;
pub use security::Security;
pub(super) use token::Token;
