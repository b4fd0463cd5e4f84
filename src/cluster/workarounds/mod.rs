//! What goes wrong in Ballista 55.0 and DataFusion 55.2 on a cluster, and what is done instead.
//!
//! A file for each: what goes wrong, a text to be filed upstream, what is done instead, and a test that fails when
//! it is mended, so that the file can go. Those without such a test are to be tried again when the versions change.
//!
//! | file | upstream | what goes wrong |
//! |---|---|---|
//! | `adaptive_planner` | ballista-scheduler | a query never ends when a machine is lost |
//! | `connect_timeout` | ballista-executor | an executor waits for its scheduler for ever |
//! | `copy_options` | datafusion-proto | `COPY` loses its options |
//! | `dropped_queries` | ballista-core | a query that nobody reads runs on |
//! | `empty_relations` | datafusion-proto | a relation without rows loses its columns |
//! | `flight_paths` | ballista-executor | files outside of the work folder are given away |
//! | `lost_functions` | ballista-core | a session that becomes remote loses its functions |
//! | `repeated_fits` | ballista-scheduler | the last step of an aggregate runs in every task |
//! | `scalar_subqueries` | datafusion, ballista | joins in the place of subqueries, where there are any |
//! | `sorts` | datafusion | a sort without partitions fails an assertion |
//! | `source_limits` | ballista-scheduler | a source in memory loses its limit |
//! | `source_orders` | datafusion | a source in memory loses its order |
//! | `work_folder` | ballista-executor | the temporary folder is removed before it is used |
//!
//! What Ballista has no hook for, rather than wrong, is told where it is missed: TLS in `tls`, the patterns of
//! tables of files in `codec_logical`, stores that are opened late in `deferred`.

mod adaptive_planner;
mod connect_timeout;
mod copy_options;
mod dropped_queries;
mod empty_relations;
mod flight_paths;
mod lost_functions;
mod repeated_fits;
mod scalar_subqueries;
mod sorts;
mod source_limits;
mod source_orders;
mod work_folder;

pub(super) use adaptive_planner::without_adaptive_planner;
pub(super) use connect_timeout::reach_scheduler;
pub(super) use copy_options::CopyFormat;
pub(crate) use copy_options::is_packed;
pub use dropped_queries::cancellations;
pub(super) use dropped_queries::{CancelOnDropExec, with_ids_at_once};
pub(super) use empty_relations::no_rows;
pub(super) use flight_paths::CheckedFlight;
pub(super) use lost_functions::upgraded;
pub(super) use repeated_fits::fit_first;
pub(super) use scalar_subqueries::{Run, answer_first, explained};
pub(super) use sorts::{SortPartitionsExec, guard_sorts};
pub(super) use source_orders::without_projections;
pub(super) use work_folder::work_folder;

#[cfg(test)]
mod tests {
    /// With others, everything here is to be tried again; what has no test, by hand.
    #[test]
    fn the_versions_are_those_that_were_looked_at() {
        assert_eq!(ballista_core::BALLISTA_VERSION, "55.0.0");
        assert_eq!(datafusion::DATAFUSION_VERSION, "55.2.0");
    }
}
