//! Archives as folders: what lies in a `.zip`, `.tar`, `.tar.gz` or `.tgz` is read as the objects of a
//! folder are.
//!
//! An archive is listed once ([`index`]): a zip by its directory at the end, a tar in one pass. The index
//! is kept where DataFusion keeps the footers of Parquet files, and bounded by the same setting,
//! `datafusion.runtime.metadata_cache_limit`. [`open`] finds it there as long as the archive has not
//! changed. What lies together in an archive is then read together ([`read`]).
//!
//! A compressed tar cannot be read from its middle: it is unpacked once into DataFusion's folder for
//! temporary files, within `datafusion.runtime.max_temp_directory_size`, and read there.
//!
//! Names are those of the archive without a `/` or `./` at their beginning. What has no such name (one
//! with `..`, a control character, or not in UTF-8) is left out and told; where a name is repeated, its
//! last member counts, as for `unzip` and `tar`. Folders, links and devices are no rows.

mod format;
mod index;
mod name;
mod object_reader;
mod open;
mod read;
mod tar;
mod zip;

pub(crate) use format::{Format, archives_around, archives_in};
pub(crate) use open::{Archive, open, open_object};
pub(crate) use read::{Answer, MOST as REQUEST_BYTES, Piece};
