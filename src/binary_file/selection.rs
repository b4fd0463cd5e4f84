//! Which of the objects below a location are rows, and which folders are worth a look.

use std::collections::BTreeMap;

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
    Skip(Skipped),
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
            return Visit::Skip(Skipped::Hidden);
        }
        let recursive = self.options.recursive_file_lookup;
        match self.pattern {
            Some(pattern) if !pattern.may_lead_to(&segments) => Visit::Skip(Skipped::Glob),
            Some(pattern) if !pattern.is_segmented() || segments.len() < pattern.depth() => {
                Visit::Level
            }
            _ if recursive => Visit::Tree,
            pattern => {
                let free = pattern.map_or(0, Pattern::depth).min(segments.len());
                if segments[free..].iter().all(|segment| is_partition(segment)) {
                    Visit::Level
                } else {
                    Visit::Skip(Skipped::Folder)
                }
            }
        }
    }

    /// Whether an object is a row, and if not, why.
    pub(super) fn check(&self, object: &ObjectMeta) -> Result<(), Skipped> {
        let segments = below(self.root, &object.location);
        // An object of the folder's own name marks the folder.
        let Some((_, folders)) = segments.split_last() else {
            return Err(Skipped::Hidden);
        };
        if segments.iter().any(|segment| is_hidden(segment)) {
            return Err(Skipped::Hidden);
        }
        // A glob may match the object itself or a folder that it lies in.
        let in_reach = |folders: &[&str]| {
            self.options.recursive_file_lookup || folders.iter().all(|f| is_partition(f))
        };
        let Some(pattern) = self.pattern else {
            return match in_reach(folders) {
                true => self.check_object(object),
                false => Err(Skipped::Folder),
            };
        };
        let is_selected = pattern.matches(&segments)
            || (1..=folders.len())
                .any(|depth| in_reach(&folders[depth..]) && pattern.matches(&folders[..depth]));
        match is_selected {
            true => self.check_object(object),
            false => Err(Skipped::Glob),
        }
    }

    /// The conditions that do not depend on folders.
    pub(super) fn check_object(&self, object: &ObjectMeta) -> Result<(), Skipped> {
        let Self { options, .. } = self;
        let name = object.location.filename().unwrap_or_default();
        let time = object.last_modified;
        if self.file_name.as_ref().is_some_and(|m| !m.is_match(name)) {
            return Err(Skipped::Name);
        }
        if options.modified_before.is_some_and(|limit| time >= limit)
            || options.modified_after.is_some_and(|limit| time <= limit)
        {
            return Err(Skipped::Time);
        }
        let is_long = options.max_length.is_some_and(|limit| object.size > limit);
        match is_long && options.oversize == Oversize::Skip {
            true => Err(Skipped::Length),
            false => Ok(()),
        }
    }
}

/// Why an object is no row, or a folder is not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Skipped {
    Folder,
    Name,
    Glob,
    Time,
    Length,
    Hidden,
    /// In the archive, but not in the folder of it that was named.
    Elsewhere,
}

impl Skipped {
    /// What is said of `count` of them, and what to do.
    fn told(self, count: usize, options: &BinaryFileOptions) -> String {
        let counted = |one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let objects = counted("object");
        match self {
            Self::Folder => {
                let folders = counted("folder");
                format!("{folders} not looked into, unless 'recursiveFileLookup' is set to 'true'")
            }
            Self::Name => {
                let glob = options
                    .path_glob_filter
                    .as_ref()
                    .map_or("", |glob| glob.glob());
                format!("{objects} not like 'pathGlobFilter' '{glob}'")
            }
            Self::Glob => format!("{} not like the pattern of LOCATION", counted("name")),
            Self::Time => format!("{objects} not as 'modifiedBefore' and 'modifiedAfter' say"),
            Self::Length => format!("{objects} of more than 'maxLength' bytes"),
            Self::Elsewhere => format!("{} in other folders of the archive", counted("member")),
            Self::Hidden => format!("{} beginning with '_' or '.'", counted("name")),
        }
    }
}

/// What a listing has skipped: how many for each reason, and one of them.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Skipped, (usize, String)>);

impl Tally {
    /// Notes what lies at `path` in the location of this root.
    pub(super) fn add(&mut self, why: Skipped, root: &Path, path: &Path) {
        let mut name = below(root, path).join("/");
        if name.is_empty() {
            path.filename().unwrap_or_default().clone_into(&mut name);
        }
        self.merge(Self(BTreeMap::from([(why, (1, name))])));
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (why, (count, example)) in other.0 {
            let (sum, first) = self.0.entry(why).or_insert_with(|| (0, example.clone()));
            *sum += count;
            // The same one in whatever order the answers come.
            *first = std::mem::take(first).min(example);
        }
    }

    /// Why there is no row, as the end of a sentence.
    pub(super) fn told(&self, options: &BinaryFileOptions) -> String {
        if self.0.is_empty() {
            return "there is nothing in it".to_owned();
        }
        let skipped = self.0.iter();
        let told: Vec<String> = skipped
            .map(|(why, (count, example))| {
                format!("{}, such as '{example}'", why.told(*count, options))
            })
            .collect();
        told.join("; ")
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
