//! Which of the objects below a location are rows, and which folders are worth a look.

use globset::GlobMatcher;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::location::{Location, Pattern};
use super::options::{BinaryFileOptions, Oversize};
use super::partitions::is_partition;

/// Which objects are rows, decided by name, time and size.
pub(super) struct Selection<'a> {
    root: &'a Path,
    pattern: Option<&'a Pattern>,
    file_name: Option<GlobMatcher>,
    options: &'a BinaryFileOptions,
}

/// What a folder is worth looking into.
pub(super) enum Visit {
    Skip,
    /// Its direct objects and folders.
    Level,
    /// Everything below it.
    Tree,
}

impl<'a> Selection<'a> {
    pub(super) fn new(location: &'a Location, options: &'a BinaryFileOptions) -> Self {
        Self {
            root: location.root(),
            pattern: location.pattern(),
            file_name: options.file_name_matcher(),
            options,
        }
    }

    pub(super) fn visit(&self, folder: &Path) -> Visit {
        let segments = below(self.root, folder);
        if segments.iter().any(|segment| is_hidden(segment)) {
            return Visit::Skip;
        }
        let recursive = self.options.recursive_file_lookup;
        match self.pattern {
            Some(pattern) if !pattern.may_lead_to(&segments) => Visit::Skip,
            Some(pattern) if !pattern.is_segmented() || segments.len() < pattern.depth() => {
                Visit::Level
            }
            _ if recursive => Visit::Tree,
            pattern => {
                let free = pattern.map_or(0, Pattern::depth).min(segments.len());
                if segments[free..].iter().all(|segment| is_partition(segment)) {
                    Visit::Level
                } else {
                    Visit::Skip
                }
            }
        }
    }

    pub(super) fn keeps(&self, object: &ObjectMeta) -> bool {
        let segments = below(self.root, &object.location);
        // An object of the folder's own name marks the folder.
        let Some((_, folders)) = segments.split_last() else {
            return false;
        };
        if segments.iter().any(|segment| is_hidden(segment)) {
            return false;
        }
        // A glob may match the object itself or a folder that it lies in.
        let in_reach = |folders: &[&str]| {
            self.options.recursive_file_lookup || folders.iter().all(|f| is_partition(f))
        };
        let selected = match self.pattern {
            None => in_reach(folders),
            Some(pattern) => {
                pattern.matches(&segments)
                    || (1..=folders.len()).any(|depth| {
                        in_reach(&folders[depth..]) && pattern.matches(&folders[..depth])
                    })
            }
        };
        selected && self.keeps_object(object)
    }

    /// The conditions that do not depend on folders.
    pub(super) fn keeps_object(&self, object: &ObjectMeta) -> bool {
        let Self { options, .. } = self;
        let name = object.location.filename().unwrap_or_default();
        self.file_name
            .as_ref()
            .is_none_or(|matcher| matcher.is_match(name))
            && options
                .modified_before
                .is_none_or(|limit| object.last_modified < limit)
            && options
                .modified_after
                .is_none_or(|limit| object.last_modified > limit)
            && (options.oversize != Oversize::Skip
                || options.max_length.is_none_or(|limit| object.size <= limit))
    }
}

/// The segments of `path` below `root`.
pub(super) fn below<'a>(root: &Path, path: &'a Path) -> Vec<&'a str> {
    let skipped = root.parts().count();
    path.as_ref()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .skip(skipped)
        .collect()
}

/// Names that Spark and Hive take for their own: `_SUCCESS`, `.crc`, `_temporary`.
fn is_hidden(segment: &str) -> bool {
    segment.starts_with('.') || (segment.starts_with('_') && !segment.contains('='))
}
