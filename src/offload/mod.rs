//! Long computations off the threads that run queries, and stopped when nobody wants them.
//!
//! `featurize` and `pca_fit` compute for seconds in one synchronous call. Polled in place, that call would keep
//! a query thread, and with it timers and signals; the task that should drop the stream after
//! Ctrl-C may be the very one that is blocked in it. The rule [`OffloadComputation`] therefore puts
//! an [`OffloadExec`] above each operator that evaluates such a function. It polls its input on a
//! thread for blocking work, and when its own stream is dropped it triggers the
//! [cancel token](datafusion_functions_image::cancel) that the function finds on that thread. Kernels and
//! fits look at it every few milliseconds, so a query stops computing however many images a
//! batch holds.
//!
//! # Why not an asynchronous function
//!
//! DataFusion has `AsyncScalarUDF` for functions that wait, and `AsyncFuncExec` to run them. In
//! DataFusion 55.2 they do not fit a function like this one:
//!
//! * they are planned in projections, filters and the arguments of aggregates only; in `ORDER BY`,
//!   `GROUP BY`, `PARTITION BY` and `VALUES` the query fails with an internal error;
//! * they are evaluated before the expression around them, so `CASE WHEN … THEN featurize(…)`
//!   computes, and fails on, the rows that the condition leaves out;
//! * their input is gathered into batches of `datafusion.execution.batch_size` rows first: 8,192
//!   encoded images, and 8,192 vectors of 25,088 floats twice over while they are concatenated;
//! * the wrapper hides `simplify` and `documentation`, which is where constants are checked and
//!   where `SHOW FUNCTIONS` gets its text.

mod exec;
mod named;
mod rule;
mod small_batches;

pub use exec::OffloadExec;
pub use named::NamedCall;
pub use rule::OffloadComputation;
pub use small_batches::SmallBatchesExec;
