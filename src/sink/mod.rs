//! Writing that loses nothing: `COPY … TO` and `INSERT INTO` on Parquet, CSV, JSON and Arrow.
//!
//! [`WriteFormatFactory`] wraps the session's formats. They read as before and take the options
//! that they took before, and some more:
//!
//! | option | values | default |
//! |---|---|---|
//! | `write_mode` | `append`, `overwrite`, `error_if_exists` | `append` |
//! | `num_files` | exactly so many parts, 1 to 1000, also when some are empty | as the query runs |
//! | `success_file` | `true`, `false`: `_SUCCESS`, written last | `true`; an append keeps it up to date if the folder has it, and starts none |
//! | `manifest` | `true`, `false`: `_MANIFEST.json` stays | `false`; an append keeps it up to date if the folder has it |
//! | `vectors` | how lists are written: `text`, `list`, `fixed_size_list` (not CSV), `columns` | `text` to CSV, else as they are |
//!
//! `vectors` makes lists of numbers (and, for `text` and `list`, all lists) what other tools take:
//! `fixed_size_list` is what Lance and NumPy want, and `columns` makes `features_0`, `features_1`, …,
//! also in CSV. What made the vectors is kept in the metadata of each column that a Parquet file has.
//! A vector of another length than the first is an error with its row. A row that is NULL becomes NULL in
//! each place for both, since PyArrow cannot read lists of fixed size that are NULL.
//!
//! `INSERT INTO` takes the options from `CREATE EXTERNAL TABLE`, and `INSERT OVERWRITE` is `overwrite`.
//!
//! What is `PARTITIONED BY` columns is written by DataFusion itself and takes none of these options; only what
//! would lose values silently is refused there too (`nulls`, and columns in another order).
//!
//! # Two operators
//!
//! ```text
//! CommitExec          one partition: collects what was written, commits, yields `count`
//!   PartWriterExec    every partition: writes parts, yields path, rows, bytes, visible
//!     the query
//! ```
//!
//! Both hold a [`WriteSpec`] and nothing else, so that they can travel to other machines. Parts are
//! named by a uuid, because the number of a partition is local to a task there; and where a task
//! may be repeated, no part becomes visible before the commit.
//!
//! # What lies in the folder
//!
//! ```text
//! part-00000-<uuid>-c000.parquet      data
//! _SUCCESS                            empty: the folder is complete
//! _MANIFEST.json                      every part with rows and bytes, columns, query
//! _temporary/_LOCK                    a run is writing
//! _temporary/featurize-<run>/…staged  its parts
//! _temporary/featurize-<run>/_COMMIT.json
//! ```
//!
//! When a run has ended, nothing is left but parts and the empty `_SUCCESS`, and `_MANIFEST.json` only
//! where it was asked for. Spark, PyArrow, DuckDB and DataFusion skip names that begin with `_`, or look
//! at names with the format's ending only. But polars fails at every file of another ending below the
//! folder that is not empty, hidden or not, and Daft at one in the folder itself: no name hides a file
//! from them, and beside the folder nothing is ours. (`tests/read_back.py` asks them.)
//!
//! # Overwriting
//!
//! An object store cannot replace several objects at once. What can be replaced at once is one
//! object, so `_MANIFEST.json` is where the old data ends and the new data begins, and `_SUCCESS`
//! is absent while a plain listing of the folder might show both. Where there is no manifest, a listing
//! shows what is complete.
//!
//! | step | a listing shows | `_SUCCESS` | the manifest names | after a kill here, the next run |
//! |---|---|---|---|---|
//! | 1. lock; parts written and staged | old | yes | old | removes the staged parts |
//! | 2. a manifest of the old parts, if none describes them | old | yes | old | removes the staged parts |
//! | 3. `_COMMIT.json` | old | yes | old | commits |
//! | 4. `_SUCCESS` removed | old | no | old | commits |
//! | 5. parts published | old, some new | no | old | commits |
//! | 6. **manifest replaced** | old and new | no | new | commits |
//! | 7. old parts removed | new, some old | no | new | commits |
//! | 8. `_SUCCESS` written | new | yes | new | commits again, which changes nothing |
//! | 9. the manifest, if nobody asked for it, `_COMMIT.json`, staged parts and lock removed | new | yes | new | — |
//!
//! Who reads the manifest, and lists the folder if there is none, therefore always finds the old or the
//! new data complete. Who only lists the folder does so whenever `_SUCCESS` is there. A run that *fails* rather than dies in steps 3 to 5
//! takes back what it did, and the folder is as it was; from step 6 on it leaves the rest to the
//! next run. A run that is *interrupted* (its stream is dropped) removes its staged parts and its lock, as one
//! that fails, so that readers which fail at any file beside the parts can read the folder; in steps 3 to
//! 8 it leaves the rest to the next run. On the local disk, publishing is a rename; on an object store it is a copy within the
//! store, because objects cannot be renamed there and an object under its final name would be
//! visible hours before the commit. Parts are limited to 1 GiB for the sake of these copies.
//!
//! # What is deleted
//!
//! Only an overwrite deletes data: the files with the format's ending in the folder that the
//! statement names, and in its `column=value` sub-folders. A run that finishes the commit of an
//! earlier one deletes what that run has noted, if it has still the size and time that it had then.
//! On the local disk, a symbolic link to a folder, in which any of these files would be deleted, is
//! an error before anything is touched.
//! Beside data, runs delete what runs of this crate have made in exactly this folder: below
//! `_temporary/featurize-<run>/`, `_temporary/_LOCK`, `_MANIFEST.json` and `_SUCCESS`, and on the local
//! disk what a killed program was writing for these (`_SUCCESS#1`). An append
//! leaves the `_SUCCESS` of another program alone, and a `_MANIFEST.json` or `_LOCK` of another
//! program is an error before anything is touched.
//!
//! # Places
//!
//! A target is a place, never a pattern: `COPY … TO '/data/photos [2024]/'` writes to this folder,
//! and `s3://b/Apple%20Red/` is a key with `%`. `LOCATION` of a table on Parquet or CSV is read in
//! the same way, but for paths that have `*`, `?` or `[`, no `/` at their end, and do not exist: those
//! are patterns, which can be read and not written to. What cannot be a place is refused: keys with
//! an empty name (`a//b`), `.` or `..`, or control characters, which `object_store` cannot address.
//! Web addresses (`http://`, `https://`) are read as such.
//!
//! # Appending
//!
//! A part becomes visible when it is closed, all at once (a rename, or the end of an upload), and it
//! is closed every `featurize.checkpoint_rows` rows. What an append has written stays when it
//! fails or is killed, so that a job can go on where it stopped:
//!
//! ```sql
//! CREATE TABLE todo AS SELECT path FROM images WHERE path NOT IN (SELECT path FROM features);
//! INSERT INTO features
//! SELECT path, featurize(content) FROM images WHERE path IN (SELECT path FROM todo);
//! ```
//!
//! (In one statement, with `NOT IN` on the rows that have `content`, the rows are the same; but
//! DataFusion's join then holds the content of all images before the first part is written.)
//!
//! If the folder has a `_SUCCESS` of this crate (it is empty, and all files are parts of ours, or there is
//! a manifest), a manifest of what is complete is written before the first part appears, `_SUCCESS` is
//! removed, and both are as they were at the end. An append that dies in between leaves the manifest, by
//! which the next one knows that the folder had `_SUCCESS`. An append with `num_files` shows its parts at
//! the end only, by steps 3 to 9 without old parts.
//!
//! # On a cluster
//!
//! Tasks whose machine is lost are repeated elsewhere. Parts of a task become visible by the commit
//! only, in every mode, and the commit takes those that the attempts which counted have named.
//! Repeating the commit itself finishes what its first attempt has begun. For that, an empty file
//! `_temporary/featurize-<run>/_COMMITTED_<rows>` stays after step 9; the next run removes it. A query
//! that fails leaves its staged parts to the next run too.
//!
//! # Two writers
//!
//! The lock is an object that only one of several writers can create. The second gets an error that
//! names the first. A lock is abandoned when its program is known to have ended on this machine, or
//! when it has not been renewed for a minute.
//!
//! Where a store refuses conditional writes (some servers that speak S3 answer 400 or 501), a run
//! writes the lock if there is none, waits two seconds, and has it if nobody else has written it
//! since; a run whose own request took longer than a second gives way. What the steps of a commit
//! promise holds there too, and so does the lock, unless a request is on its way for longer than a
//! second at the very moment at which two runs begin. Even then a run that finds the lock of
//! another before its commit gives up, and nothing of it becomes visible. Where a store cannot delete
//! objects, nothing is written at all.
//!
//! What no program can clear away is an upload in pieces that its program did not live to end:
//! object stores keep the pieces, unseen, until a life-cycle rule (`AbortIncompleteMultipartUpload`
//! on S3) removes them.
//!
//! # Memory
//!
//! Rows are encoded in slices of 8 MiB. Each open part holds a Parquet row group of at most 32 MiB
//! and one buffer of `datafusion.execution.objectstore_writer_buffer_size`, and each partition has
//! one part open, or `num_files` all together (which then share 256 MiB of row groups).

mod capabilities;
mod clear;
mod closed;
mod commit;
mod encode;
mod finish;
mod format;
mod inputs;
mod insert;
mod journal;
mod links;
mod lock;
mod manifest;
mod nulls;
mod options;
mod parts;
mod place;
mod recover;
mod run;
mod slices;
mod spec;
mod table;
mod target;
mod text;
mod told;
#[cfg(feature = "cluster")]
mod travel;
mod vectors;

pub use commit::CommitExec;
pub use encode::PartFormat;
pub use format::{WriteFormat, WriteFormatFactory};
pub use insert::InsertedNulls;
pub use manifest::{Manifest, ManifestColumn, Part};
#[cfg(feature = "cluster")]
pub(crate) use nulls::NotNullExec;
pub use options::{Vectors, WriteMode, WriteOptions};
pub use parts::PartWriterExec;
pub use place::CopyToPlaces;
pub(crate) use place::{GLOB_CHARACTERS, Place, VISIBLE};
pub use run::settled;
pub use spec::WriteSpec;
pub use table::WriteTableFactory;
pub use target::{MANIFEST, SUCCESS, Target};
#[cfg(feature = "cluster")]
pub(crate) use travel::TargetParts;
