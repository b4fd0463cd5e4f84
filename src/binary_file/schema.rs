//! The columns of a BINARYFILE table, with Spark's spelling.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

/// Full URI of the object, not percent-encoded, so that `split_part(path, '/', -2)` is the name
/// of its folder.
pub const PATH: &str = "path";
/// When the object was last modified, in microseconds, UTC.
pub const MODIFICATION_TIME: &str = "modificationTime";
/// Size of the object in bytes.
pub const LENGTH: &str = "length";
/// The bytes of the object.
pub const CONTENT: &str = "content";

/// Number of columns before the partition columns.
pub(super) const FIXED: usize = 4;
/// Position of `content` in the table's schema.
pub(super) const CONTENT_INDEX: usize = 3;

/// The table's schema: the four fixed columns, then `partitions`.
pub(super) fn table_schema(partitions: &[FieldRef]) -> SchemaRef {
    let mut fields = metadata_fields();
    fields.insert(
        CONTENT_INDEX,
        Arc::new(Field::new(CONTENT, DataType::BinaryView, true)),
    );
    fields.extend(partitions.iter().cloned());
    Arc::new(Schema::new(fields))
}

/// The schema of the listing: the table's without `content`.
pub(super) fn listing_schema(partitions: &[FieldRef]) -> SchemaRef {
    let mut fields = metadata_fields();
    fields.extend(partitions.iter().cloned());
    Arc::new(Schema::new(fields))
}

fn metadata_fields() -> Vec<FieldRef> {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Arc::new(Field::new(PATH, DataType::Utf8, false)),
        Arc::new(Field::new(MODIFICATION_TIME, timestamp, false)),
        Arc::new(Field::new(LENGTH, DataType::Int64, false)),
    ]
}
