//! What a statement says about its target, and how parts are named.

use std::fmt;

use arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use uuid::Uuid;

use super::encode::PartFormat;
use super::options::{Vectors, WriteMode};
use super::target::Target;

/// Everything that a statement says about its target: plain data, so that plans can travel.
#[derive(Clone)]
pub struct WriteSpec {
    /// Names the run's folder below `_temporary`, its lock and its manifest.
    pub run: Uuid,
    /// Where it writes.
    pub target: Target,
    /// What happens to data that is there.
    pub write_mode: WriteMode,
    /// The statement says what becomes of data that is there, by `write_mode` or as INSERT does.
    pub mode_is_explicit: bool,
    /// Exactly so many parts.
    pub num_files: Option<usize>,
    /// Whether `_SUCCESS` is written; `None` is the default of the mode.
    pub success_file: Option<bool>,
    /// Whether `_MANIFEST.json` stays; `None` is the default of the mode.
    pub manifest: Option<bool>,
    /// How lists are written; `None` leaves that to the format.
    pub vectors: Option<Vectors>,
    /// Rows after which a part of an append is closed and visible; 0 is never.
    pub checkpoint_rows: usize,
    /// Format and options of the parts.
    pub format: PartFormat,
    /// Ending of the parts' names, such as `csv.gz`.
    pub extension: String,
    /// Columns of the query.
    pub schema: SchemaRef,
    /// The plan of the query, for the manifest.
    pub query: String,
}

impl WriteSpec {
    /// Parts of the run become visible as soon as they are closed, rather than at the commit.
    ///
    /// Not where tasks are repeated elsewhere when they fail (`task_id` is given there): the rows
    /// of a part that was visible already would be there twice.
    pub(super) fn publishes_at_once(&self, context: &TaskContext) -> bool {
        self.write_mode == WriteMode::Append
            && self.num_files.is_none()
            && context.task_id().is_none()
    }
}

/// Without the options of the format and the text of the query.
impl fmt::Debug for WriteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSpec")
            .field("run", &self.run)
            .field("target", &self.target.to_string())
            .field("write_mode", &self.write_mode)
            .field("num_files", &self.num_files)
            .field("success_file", &self.success_file)
            .field("manifest", &self.manifest)
            .field("vectors", &self.vectors)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// `part-<number>-<uuid>-c<count>.<ending>`, as Spark names its parts. The uuid makes the name
/// unique: the number is a partition's, which is counted anew in every task of a cluster.
pub(super) fn part_name(number: usize, uuid: Uuid, count: usize, extension: &str) -> String {
    format!("part-{number:05}-{uuid}-c{count:03}.{extension}")
}

/// Whether a part is named as this crate names its own. Spark's have random uuids.
pub(super) fn is_part_name(name: &str) -> bool {
    let parsed = || {
        let (number, rest) = name.strip_prefix("part-")?.split_at_checked(5)?;
        let (uuid, rest) = rest.strip_prefix('-')?.split_at_checked(36)?;
        let is_number = number.bytes().all(|b| b.is_ascii_digit());
        let is_ours = Uuid::parse_str(uuid).is_ok_and(|uuid| uuid.get_version_num() == 7);
        (is_number && is_ours).then(|| rest.starts_with("-c"))
    };
    parsed() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parts_are_told_from_those_of_others() {
        assert!(is_part_name(&part_name(3, Uuid::now_v7(), 12, "csv.gz")));
        for name in [
            "part-00000-9f9d9d26-2d10-4d3a-8b6a-2b1c3d4e5f60-c000.snappy.parquet",
            "part-00000.parquet",
            "data.parquet",
            "part-0000x-019e0000-0000-7000-8000-000000000000-c000.parquet",
            "",
        ] {
            assert!(!is_part_name(name), "{name}");
        }
    }
}
