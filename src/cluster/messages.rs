//! What travels, in Protocol Buffers.
//!
//! Every message of ours is one of the two envelopes. What is not ours lies in them as the opaque
//! bytes of Ballista's codec, so that a reader never has to guess whose bytes it holds.

use std::collections::BTreeMap;
use std::fmt;

use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion_proto::protobuf::{
    CsvFormat, ParquetFormat, PhysicalExprNode, PhysicalSortExprNode, Schema,
};
use prost::{Message, Oneof};

/// Raised whenever the meaning of a message changes.
pub(super) const VERSION: u32 = 2;

/// Extensions of a logical plan.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LogicalEnvelope {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "Logical", tags = "2, 3, 4, 5, 15")]
    pub(super) content: Option<Logical>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Logical {
    #[prost(message, tag = "2")]
    BinaryFileTable(BinaryFileTableMessage),
    #[prost(message, tag = "3")]
    MemoryTable(MemoryTableMessage),
    #[prost(message, tag = "4")]
    StoredTable(StoredTableMessage),
    #[prost(message, tag = "5")]
    FileFormat(FileFormatMessage),
    #[prost(bytes = "vec", tag = "15")]
    Opaque(Vec<u8>),
}

/// Extensions of a physical plan.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PhysicalEnvelope {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "Physical", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15")]
    pub(super) content: Option<Physical>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Physical {
    #[prost(message, tag = "2")]
    Fetch(FetchMessage),
    #[prost(message, tag = "3")]
    Stores(StoresMessage),
    #[prost(message, tag = "4")]
    Offload(OffloadMessage),
    #[prost(message, tag = "5")]
    PartWriter(WriteSpecMessage),
    #[prost(message, tag = "6")]
    Commit(WriteSpecMessage),
    #[prost(message, tag = "7")]
    Sort(SortMessage),
    #[prost(message, tag = "8")]
    NotNull(NotNullMessage),
    #[prost(message, tag = "9")]
    ReadBlob(ReadBlobMessage),
    #[prost(message, tag = "10")]
    SmallBatches(SmallBatchesMessage),
    #[prost(message, tag = "11")]
    MergeStates(MergeStatesMessage),
    #[prost(bytes = "vec", tag = "15")]
    Opaque(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BinaryFileTableMessage {
    #[prost(string, repeated, tag = "1")]
    pub(super) locations: Vec<String>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) options: BTreeMap<String, String>,
    #[prost(message, optional, tag = "3")]
    pub(super) partition_columns: Option<Schema>,
}

/// Rows in Arrow's IPC stream format, a stream a partition.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MemoryTableMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) schema: Option<Schema>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) partitions: Vec<Vec<u8>>,
}

/// A table, as a scan in DataFusion's encoding, and how its stores are reached.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredTableMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) stores: Option<StoresMessage>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) scan: Vec<u8>,
    /// What DataFusion's encoding of a scan leaves out, for tables of files.
    #[prost(message, optional, tag = "3")]
    pub(super) files: Option<FilesMessage>,
}

/// A table of files beyond what is needed to read all of them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FilesMessage {
    /// The pattern of each path, empty where it has none.
    #[prost(string, repeated, tag = "1")]
    pub(super) patterns: Vec<String>,
    /// The format is one of ours, with these options for writing.
    #[prost(message, optional, tag = "2")]
    pub(super) write: Option<WriteOptionsMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NotNullMessage {
    #[prost(string, repeated, tag = "1")]
    pub(super) columns: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteOptionsMessage {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(super) options: BTreeMap<String, String>,
    #[prost(bool, tag = "2")]
    pub(super) has_reordered_columns: bool,
}

/// The format of a `COPY` with its options, which DataFusion's own message leaves out.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FileFormatMessage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) options: BTreeMap<String, String>,
    #[prost(message, optional, tag = "3")]
    pub(super) stores: Option<StoresMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FetchMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) schema: Option<Schema>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) options: BTreeMap<String, String>,
    #[prost(uint64, tag = "3")]
    pub(super) files: u64,
    #[prost(uint64, tag = "4")]
    pub(super) bytes: u64,
    #[prost(string, repeated, tag = "5")]
    pub(super) filters: Vec<String>,
    #[prost(uint64, tag = "6")]
    pub(super) listed: u64,
    #[prost(uint64, tag = "7")]
    pub(super) retries: u64,
}

/// Nothing but that it is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OffloadMessage {}

/// Nothing but that it is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SmallBatchesMessage {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MergeStatesMessage {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadBlobMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) uri: Option<PhysicalExprNode>,
    #[prost(bool, tag = "2")]
    pub(super) tries: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) stores: Option<StoresMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SortMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) order: Vec<PhysicalSortExprNode>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) fetch: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteSpecMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) run: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(super) target: Option<TargetMessage>,
    #[prost(string, tag = "3")]
    pub(super) write_mode: String,
    #[prost(bool, tag = "4")]
    pub(super) mode_is_explicit: bool,
    #[prost(uint64, optional, tag = "5")]
    pub(super) num_files: Option<u64>,
    #[prost(bool, optional, tag = "6")]
    pub(super) success_file: Option<bool>,
    #[prost(uint64, tag = "7")]
    pub(super) checkpoint_rows: u64,
    #[prost(string, tag = "8")]
    pub(super) extension: String,
    #[prost(message, optional, tag = "9")]
    pub(super) schema: Option<Schema>,
    #[prost(string, tag = "10")]
    pub(super) query: String,
    #[prost(oneof = "PartFormatMessage", tags = "11, 12")]
    pub(super) format: Option<PartFormatMessage>,
    /// The order of the rows, noted in Parquet files.
    #[prost(message, optional, tag = "13")]
    pub(super) sorting: Option<SortingMessage>,
    /// Notes in Parquet files, which DataFusion's encoding of the format loses.
    #[prost(message, repeated, tag = "14")]
    pub(super) notes: Vec<NoteMessage>,
    #[prost(bool, optional, tag = "15")]
    pub(super) manifest: Option<bool>,
    #[prost(string, optional, tag = "16")]
    pub(super) vectors: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NoteMessage {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum PartFormatMessage {
    #[prost(message, tag = "11")]
    Parquet(ParquetFormat),
    #[prost(message, tag = "12")]
    Csv(CsvFormat),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TargetMessage {
    #[prost(string, tag = "1")]
    pub(super) store: String,
    #[prost(string, tag = "2")]
    pub(super) path: String,
    #[prost(bool, tag = "3")]
    pub(super) is_file: bool,
    #[prost(string, tag = "4")]
    pub(super) extension: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SortingMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) columns: Vec<SortingColumnMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SortingColumnMessage {
    #[prost(int32, tag = "1")]
    pub(super) column: i32,
    #[prost(bool, tag = "2")]
    pub(super) descending: bool,
    #[prost(bool, tag = "3")]
    pub(super) nulls_first: bool,
}

/// The settings that a call of `featurize` was planned with, by their names.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureSettingsMessage {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(super) entries: BTreeMap<String, String>,
}

/// What a call of `read_blob` takes along. Its address may hold secrets.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct BlobCallMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) stores: Option<StoresMessage>,
    #[prost(string, optional, tag = "2")]
    pub(super) hidden: Option<String>,
}

/// Stores with the options that reach them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoresMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) stores: Vec<StoreMessage>,
}

/// One store. The options may be secrets.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct StoreMessage {
    #[prost(string, tag = "1")]
    pub(super) url: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) options: BTreeMap<String, String>,
}

impl fmt::Debug for StoreMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreMessage")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Logical {
    pub(super) fn write(self, buf: &mut Vec<u8>) -> Result<()> {
        let envelope = LogicalEnvelope {
            version: VERSION,
            content: Some(self),
        };
        envelope
            .encode(buf)
            .map_err(|e| exec_datafusion_err!("{e}"))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        match LogicalEnvelope::decode(bytes) {
            Ok(LogicalEnvelope {
                version: VERSION,
                content: Some(content),
            }) => Ok(content),
            Ok(other) => refused(other.version),
            Err(_) => refused(0),
        }
    }
}

impl Physical {
    pub(super) fn write(self, buf: &mut Vec<u8>) -> Result<()> {
        let envelope = PhysicalEnvelope {
            version: VERSION,
            content: Some(self),
        };
        envelope
            .encode(buf)
            .map_err(|e| exec_datafusion_err!("{e}"))
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        match PhysicalEnvelope::decode(bytes) {
            Ok(PhysicalEnvelope {
                version: VERSION,
                content: Some(content),
            }) => Ok(content),
            Ok(other) => refused(other.version),
            Err(_) => refused(0),
        }
    }
}

/// Another release wrote the bytes, or something else altogether.
fn refused<T>(version: u32) -> Result<T> {
    exec_err!(
        "part of a plan is in version {version} of featurize's encoding, and this program reads \
         version {VERSION}: run the same release of featurize as client, scheduler and executors"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_refused() {
        let newer = LogicalEnvelope {
            version: VERSION + 1,
            content: Some(Logical::Opaque(vec![1])),
        };
        let error = Logical::read(&newer.encode_to_vec()).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        assert!(error.to_string().contains("same release"), "{error}");
        // A kind of node that only a newer release knows.
        let unknown = PhysicalEnvelope {
            version: VERSION,
            content: None,
        };
        assert!(Physical::read(&unknown.encode_to_vec()).is_err());
        assert!(Physical::read(b"not a message").is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let store = StoreMessage {
            url: "s3://bucket".to_owned(),
            options: BTreeMap::from([("aws.secret_access_key".into(), "hush".into())]),
        };
        let format = Logical::FileFormat(FileFormatMessage {
            name: "csv".to_owned(),
            options: BTreeMap::new(),
            stores: Some(StoresMessage {
                stores: vec![store],
            }),
        });
        let shown = format!("{format:?}");
        assert!(shown.contains("s3://bucket"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}
