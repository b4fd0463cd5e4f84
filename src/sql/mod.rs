//! SQL text, run as the `featurize` program runs it: for programs and languages with a prompt of their own.
//!
//! A session with the extension runs every statement through `SessionContext::sql`. Here comes what people
//! expect beyond: scripts of any editor are cut into [statements](script::split), places below `~/` lie in
//! the home folder, stores are opened by the options of a statement and stay open for later ones, `RESET`
//! knows the extension's settings, and errors say what was [meant](explained).

mod foreign;
mod hints;
mod place;
#[cfg(feature = "cli")]
mod program;
pub mod script;
mod statement;

pub use self::foreign::function as instead_of;
pub use self::hints::explained;
#[cfg(feature = "cli")]
pub use self::program::enable_program_sql;
pub use self::statement::{dialect, parse, prepare, runtime_has_changed, sets_runtime};
pub use crate::suggest::nearest;
