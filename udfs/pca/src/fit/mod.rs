//! Accumulates rows and fits a model to them.
//!
//! Two representations, chosen by what has been seen:
//!
//! * **rows**, while there are fewer rows than columns: kept as they are, and fitted through their
//!   n × n Gram matrix ([`crate::fit::gram`]);
//! * **moments**, from then on: count, mean and the d × d centred second moments
//!   ([`crate::fit::moments`]), fitted through the eigendecomposition of the covariance (or, standardised,
//!   correlation) matrix. Memory no longer depends on the number of rows.
//!
//! Either merges with either, so each partition chooses for itself. Where the moments would not fit in
//! memory there are only rows; once they take half of the memory allowed they go to disk
//! ([`crate::fit::spill`]), and where they or their Gram matrix are too large, they are fitted in passes
//! over them ([`crate::fit::stream`]).

pub(crate) mod covariance;
pub(crate) mod fitter;
pub(crate) mod gram;
pub(crate) mod moments;
pub(crate) mod rows;
pub(crate) mod running;
pub(crate) mod spill;
pub(crate) mod standard;
pub(crate) mod state;
pub(crate) mod stream;
