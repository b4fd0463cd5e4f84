//! What an archive holds, and where.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::execution::SpillFile;
use datafusion::execution::cache::cache_manager::FileMetadata;

use super::name;

/// Bytes that the index of one archive may take up: some three million members.
const MOST_BYTES: usize = 512 * 1024 * 1024;

/// Names that are told to have been left out of one archive, at most.
const MOST_LEFT_OUT: usize = 1000;

/// A file in an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its path in the archive.
    pub(crate) name: Box<str>,
    pub(crate) modified: DateTime<Utc>,
    /// Its length in bytes, as the archive declares it.
    pub(crate) size: u64,
    /// The bytes of the archive that hold it, with what stands before its content.
    pub(super) span: Range<u64>,
    pub(super) packing: Packing,
}

/// How the content of a member stands in its span.
#[derive(Debug, Clone, Copy)]
pub(super) enum Packing {
    /// The span is the content.
    Plain,
    /// After a header, and perhaps compressed.
    Zip {
        method: u16,
        crc: u32,
        compressed: u64,
        is_encrypted: bool,
    },
}

/// The members of an archive in the order of their places.
#[derive(Default)]
pub(crate) struct Index {
    members: Vec<Member>,
    by_name: HashMap<Box<str>, u32>,
    left_out: Vec<String>,
    bytes: usize,
    /// The mark is missing that ends archives of its format.
    pub(super) has_no_end: bool,
    /// The archive as it is read, where that is not the object itself.
    pub(super) unpacked: Option<Arc<dyn SpillFile>>,
}

impl Index {
    /// Notes a member, unless its name is none.
    ///
    /// # Errors
    /// When there are more than memory should hold.
    pub(super) fn add(&mut self, name: &str, member: Member) -> Result<(), String> {
        let Some(path) = name::path(name) else {
            self.leave_out(name);
            return Ok(());
        };
        self.bytes += size_of::<Member>() + size_of::<(Box<str>, u32)>() + 2 * path.len();
        let place = u32::try_from(self.members.len()).ok();
        let Some(place) = place.filter(|_| self.bytes <= MOST_BYTES) else {
            return Err(format!(
                "it has more than {} members, which memory should not hold; split it",
                self.members.len()
            ));
        };
        self.by_name.insert(path.clone(), place);
        self.members.push(Member {
            name: path,
            ..member
        });
        Ok(())
    }

    pub(super) fn leave_out(&mut self, name: &str) {
        if self.left_out.len() < MOST_LEFT_OUT {
            self.left_out.push(name.to_owned());
        }
    }

    /// Sorts by place what was added in any order; of members of one name the last added is kept.
    pub(super) fn finish(mut self) -> Self {
        let mut place = 0;
        let by_name = &self.by_name;
        self.members.retain(|member| {
            let is_last = by_name.get(&member.name) == Some(&place);
            place += 1;
            is_last
        });
        self.members.sort_by_key(|member| member.span.start);
        let places = (0..).zip(&self.members);
        self.by_name = places.map(|(i, member)| (member.name.clone(), i)).collect();
        self
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn members_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }

    /// Names that are no rows because nothing could be read under them.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.members.get(*self.by_name.get(name)? as usize)
    }
}

/// An index in the cache of the session.
pub(super) struct Cached(pub(super) Arc<Index>);

impl FileMetadata for Cached {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory_size(&self) -> usize {
        self.0.bytes + self.0.left_out.iter().map(String::len).sum::<usize>()
    }

    fn extra_info(&self) -> datafusion::common::HashMap<String, String> {
        let members = self.0.members.len().to_string();
        [("members".to_owned(), members)].into_iter().collect()
    }
}
