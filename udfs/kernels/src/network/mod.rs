//! A network for images of one size, ready to run.

mod plan;
mod prepared;
mod run;
mod step;
#[cfg(test)]
mod tests;
mod workspaces;

pub use prepared::Network;
pub use run::StepReport;
