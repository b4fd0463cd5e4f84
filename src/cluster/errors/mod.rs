//! Errors that read on a cluster as they do in one process.
//!
//! Ballista gives the scheduler, and through it the client, the `Debug` of an error of a task, and wraps words of
//! its own around it. So an executor puts what a user is to read between two marks (`marked`), above all of a
//! task's operators (`operator`), and a client takes it out again (`client`). So do errors of planning.

mod client;
mod marked;
mod operator;

pub(super) use client::as_local;
pub(super) use marked::mark;
pub(super) use operator::{ExecutorName, name_executor};
