//! `LOCATION`: a folder, one file or a glob, on any object store or the local disk.

use std::fmt;
use std::path::{Component, Path as FilePath};

use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::execution::object_store::ObjectStoreUrl;
use globset::GlobMatcher;
use object_store::path::Path;
use percent_encoding::percent_decode_str;

use super::options::parse_glob;
use crate::archives::{Format, archives_in};
use crate::object_stores::address::{is_web, shown, split_scheme};

const GLOB_CHARACTERS: [char; 4] = ['*', '?', '[', '{'];

/// Where a table's objects lie: a store, a folder or object in it, and perhaps a glob below that.
#[derive(Debug, Clone)]
pub(super) struct Location {
    store: ObjectStoreUrl,
    /// Everything before the first segment that is a glob, verbatim.
    root: Path,
    pattern: Option<Pattern>,
    /// The text names a folder, by a `/` at its end.
    is_folder: bool,
}

impl Location {
    /// Reads a URL or a path of the local disk.
    ///
    /// A URL is percent-decoded, as DataFusion's own tables do ([`Self::as_typed`] is not); a path
    /// without scheme is taken verbatim. `#` has no special meaning in either. What exists on the
    /// local disk under exactly this name is never taken for a glob, nor is a character of globs that
    /// is percent-encoded; of what a store has, [`Self::names`] tells.
    ///
    /// # Errors
    /// When the text is neither, or its glob does not parse.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Self::read(text, true, |path| decode(text, path))
    }

    /// Reads a URL to the letter: `%20` is a blank to a browser, but in a key it is `%20`. `None`
    /// where that is no other place.
    pub(super) fn as_typed(text: &str) -> Option<Self> {
        let (_, path) = split_scheme(text)?;
        if decode(text, path).is_ok_and(|decoded| decoded == path) {
            return None;
        }
        Self::read(text, true, |path| Ok(path.to_owned())).ok()
    }

    /// What has exactly this name in a store, where the name could also be a glob: to the letter, and
    /// percent-decoded.
    pub(super) fn names(text: &str) -> Vec<Self> {
        let is_remote = split_scheme(text)
            .is_some_and(|(scheme, rest)| scheme != "file" && rest.contains(GLOB_CHARACTERS));
        if !is_remote {
            return vec![];
        }
        let typed = Self::read(text, false, |path| Ok(path.to_owned()));
        let decoded = Self::read(text, false, |path| decode(text, path));
        let mut names: Vec<Self> = [typed, decoded].into_iter().flatten().collect();
        names.dedup_by(|a, b| a.root == b.root);
        names
    }

    fn read(text: &str, globs: bool, decode: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let scheme = split_scheme(text);
        let is_url = scheme.is_some();
        let (store, path, exists) = match scheme {
            Some((scheme, path)) if scheme == "file" => {
                let Some(path) = path.strip_prefix('/') else {
                    return plan_err!(
                        "LOCATION '{text}': expected 'file:///' and an absolute path"
                    );
                };
                let exists = FilePath::new("/").join(decode(path)?).exists();
                (ObjectStoreUrl::local_filesystem(), path.to_owned(), exists)
            }
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                if authority.is_empty() {
                    return plan_err!("LOCATION '{text}': expected '{scheme}://' and a bucket");
                }
                let store =
                    ObjectStoreUrl::parse(format!("{scheme}://{authority}")).map_err(|_| {
                        plan_datafusion_err!(
                            "LOCATION '{}': expected '{scheme}://' and a bucket or host",
                            shown(text)
                        )
                    })?;
                if !is_web(&scheme) {
                    refuse_unnameable(text, &decode(path)?)?;
                }
                (store, path.to_owned(), false)
            }
            None => {
                let path = absolute(text)?;
                let exists = FilePath::new("/").join(&path).exists();
                (ObjectStoreUrl::local_filesystem(), path, exists)
            }
        };

        let decode = |part: &[&str]| match is_url {
            true => decode(&part.join("/")),
            false => Ok(part.join("/")),
        };
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let is_glob = |segment: &&str| globs && !exists && segment.contains(GLOB_CHARACTERS);
        let literal = segments.iter().position(is_glob).unwrap_or(segments.len());
        let (root, glob) = segments.split_at(literal);
        let root = Path::parse(decode(root)?)
            .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(text)))?;
        let pattern = if glob.is_empty() {
            None
        } else {
            let glob = decode(glob)?;
            Some(Pattern::try_new(&glob.split('/').collect::<Vec<_>>())?)
        };
        Ok(Self {
            store,
            is_folder: path.is_empty() || path.ends_with('/') || pattern.is_some(),
            root,
            pattern,
        })
    }

    /// The archives that this location may name or lie in, outermost first: their own locations.
    pub(super) fn archives(&self) -> Vec<Self> {
        let place = |root, pattern| Self {
            store: self.store.clone(),
            root,
            pattern,
            is_folder: false,
        };
        let roots = archives_in(&self.root).into_iter();
        let mut archives: Vec<Self> = roots.map(|(root, _)| place(root, None)).collect();
        if let Some(pattern) = &self.pattern {
            let segments: Vec<&str> = pattern.text.split('/').collect();
            let ends = (1..).zip(&segments);
            let end = ends
                .filter(|(_, name)| Format::of(name).is_some())
                .map(|(end, _)| end);
            // Where it begins as the whole is valid, it is valid.
            let outer = end
                .into_iter()
                .find_map(|end| Pattern::try_new(&segments[..end]).ok());
            archives.extend(outer.map(|pattern| place(self.root.clone(), Some(pattern))));
        }
        archives
    }

    /// The store that holds the objects.
    pub(super) fn store(&self) -> &ObjectStoreUrl {
        &self.store
    }

    /// The folder or object before any glob.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The glob below the root, if there is one.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }

    /// Whether only a folder can be meant.
    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether the location is on the local disk.
    pub(super) fn is_local(&self) -> bool {
        self.store.as_str().starts_with("file:")
    }

    /// Text from which [`Self::parse`] makes the same location on another machine.
    #[cfg(feature = "cluster")]
    pub(super) fn to_text(&self) -> String {
        // What begins with "file:///" is percent-decoded, as every URL is.
        let encoded = |text: &str| text.replace('%', "%25");
        let mut root = encoded(self.root.as_ref());
        for character in GLOB_CHARACTERS {
            root = root.replace(character, &format!("%{:02X}", u32::from(character)));
        }
        let mut text = format!("{}{root}", self.store.as_str());
        if (self.is_folder || self.pattern.is_some()) && !self.root.as_ref().is_empty() {
            text.push('/');
        }
        match &self.pattern {
            Some(pattern) => text + &encoded(&pattern.text),
            None => text,
        }
    }

    /// The verbatim URI of an object of this location's store.
    pub(super) fn uri(&self, object: &Path) -> String {
        format!("{}{object}", self.store.as_str())
    }
}

/// As it may be shown: without the secrets of an address.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.uri(&self.root);
        if let Some(pattern) = &self.pattern {
            if !self.root.as_ref().is_empty() {
                text.push('/');
            }
            text += &pattern.text;
        }
        f.write_str(&shown(&text))
    }
}

/// Splits the URI of an object, as the column `path` holds it, into its store and its path.
///
/// # Errors
/// When the text is not such a URI.
pub fn split_uri(uri: &str) -> Result<(ObjectStoreUrl, Path)> {
    let parts = uri.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_once('/')?;
        let store = ObjectStoreUrl::parse(format!("{scheme}://{authority}")).ok()?;
        Some((store, Path::parse(path).ok()?))
    });
    parts.ok_or_else(|| plan_datafusion_err!("'{uri}' is not the URI of an object"))
}

/// A glob over the segments below a location's root.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    whole: GlobMatcher,
    /// One matcher for each leading folder depth whose names the glob fixes; folders deeper
    /// than that (below `**`) are not pruned.
    segments: Vec<GlobMatcher>,
    depth: usize,
}

impl Pattern {
    fn try_new(glob: &[&str]) -> Result<Self> {
        let text = glob.join("/");
        let whole = parse_glob(&text)?.compile_matcher();
        let mut segments = vec![];
        for segment in glob {
            let alternatives_close = segment.matches('{').count() == segment.matches('}').count();
            if segment.contains("**") || !alternatives_close {
                break;
            }
            segments.push(parse_glob(segment)?.compile_matcher());
        }
        Ok(Self {
            text,
            whole,
            segments,
            depth: glob.len(),
        })
    }

    /// Whether an object or folder with these segments is matched itself.
    pub(super) fn matches(&self, segments: &[&str]) -> bool {
        self.whole.is_match(segments.join("/"))
    }

    /// Whether something matched may lie in, or be, the folder with these segments.
    pub(super) fn may_lead_to(&self, segments: &[&str]) -> bool {
        self.segments
            .iter()
            .zip(segments)
            .all(|(matcher, segment)| matcher.is_match(segment))
    }

    /// Number of segments of the glob.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether every segment can be told apart, so that [`Self::may_lead_to`] is exact.
    pub(super) fn is_segmented(&self) -> bool {
        self.segments.len() == self.depth
    }
}

fn decode(text: &str, path: &str) -> Result<String> {
    percent_decode_str(path)
        .decode_utf8()
        .map(Into::into)
        .map_err(|e| plan_datafusion_err!("LOCATION '{}': {e}", shown(text)))
}

/// Objects in such folders are left out of every listing: another folder would be read instead.
fn refuse_unnameable(text: &str, path: &str) -> Result<()> {
    let names = path.strip_suffix('/').unwrap_or(path).split('/');
    for name in names.filter(|_| !path.is_empty()) {
        let why = match name {
            "" => "has an empty name between two '/'",
            "." | ".." => "has a name that is '.' or '..'",
            _ => continue,
        };
        return plan_err!(
            "LOCATION '{}' {why}; objects under such a name cannot be reached (object_store \
             refuses them). Name another folder",
            shown(text)
        );
    }
    Ok(())
}

/// The absolute path without its first `/`, `.` and `..` resolved by name.
pub(crate) fn absolute(text: &str) -> Result<String> {
    if text.is_empty() {
        return plan_err!("LOCATION '': expected a URL or a path");
    }
    let absolute =
        std::path::absolute(text).map_err(|e| plan_datafusion_err!("LOCATION '{text}': {e}"))?;
    let mut segments = vec![];
    for component in absolute.components() {
        match component {
            Component::Normal(segment) => segments.push(segment.to_str().ok_or_else(|| {
                plan_datafusion_err!("LOCATION '{text}': the path is not valid UTF-8")
            })?),
            Component::ParentDir => {
                segments.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    let mut path = segments.join("/");
    if text.ends_with('/') || absolute.is_dir() {
        path.push('/');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_split_into_store_root_and_glob() {
        for (text, store, root, glob) in [
            ("s3://fruits/Training/", "s3://fruits/", "Training", None),
            ("s3://fruits", "s3://fruits/", "", None),
            (
                "s3://fruits/Tra*/Apple Red 1/?.jpg",
                "s3://fruits/",
                "",
                Some("Tra*/Apple Red 1/?.jpg"),
            ),
            (
                "s3://fruits/a/{b,c}/*.jpg",
                "s3://fruits/",
                "a",
                Some("{b,c}/*.jpg"),
            ),
            ("s3://b/Apple%20Red/", "s3://b/", "Apple Red", None),
            ("s3://b/Apple #1/50%/", "s3://b/", "Apple #1/50%", None),
            ("file:///no/such/x.jpg", "file:///", "no/such/x.jpg", None),
            ("/no/../such/./x%20y", "file:///", "such/x%20y", None),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.store().as_str(), store, "{text}");
            assert_eq!(location.root().as_ref(), root, "{text}");
            assert_eq!(location.pattern().map(|p| p.text.as_str()), glob, "{text}");
        }
    }

    #[test]
    fn what_exists_is_no_glob() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("photos [old]");
        std::fs::create_dir(&odd).unwrap();
        let location = Location::parse(odd.to_str().unwrap()).unwrap();
        assert!(location.pattern().is_none());
        assert!(location.root().as_ref().ends_with("photos [old]"));
    }

    #[test]
    fn what_looks_like_a_glob_may_be_a_name() {
        for (text, roots) in [
            ("s3://b/photos [2024]/", vec!["photos [2024]"]),
            ("s3://b/a%20b/x{1}", vec!["a%20b/x{1}", "a b/x{1}"]),
            ("s3://b/[a/", vec!["[a"]),
            ("s3://b/a/", vec![]),
            ("file:///no/such/*", vec![]),
            ("/no/such/*", vec![]),
        ] {
            let names = Location::names(text);
            let found: Vec<_> = names.iter().map(|name| name.root().as_ref()).collect();
            assert_eq!(found, roots, "{text}");
            for name in names {
                assert!(name.pattern().is_none(), "{text}");
                assert_eq!(name.is_folder(), text.ends_with('/'), "{text}");
            }
        }
        let encoded = Location::parse("s3://b/photos %5B2024%5D/*.jpg").unwrap();
        assert_eq!(encoded.root().as_ref(), "photos [2024]");
        assert!(encoded.pattern().unwrap().matches(&["a.jpg"]));
    }

    #[test]
    fn uris_survive_the_round_trip() {
        for name in [
            "Apple Red 1",
            "é ñ",
            "a#b",
            "50% off",
            "a+b",
            "q?x",
            "[x]",
            "%20",
        ] {
            let object = Path::parse(format!("Training/{name}/0_100.jpg")).unwrap();
            for text in ["s3://fruits/Training/", "/tmp/"] {
                let location = Location::parse(text).unwrap();
                let (store, path) = split_uri(&location.uri(&object)).unwrap();
                assert_eq!(&store, location.store());
                assert_eq!(path, object, "{name}");
            }
        }
    }

    #[test]
    fn patterns_prune_by_segment() {
        let location = Location::parse("s3://b/Tra*/A*/*.jpg").unwrap();
        let pattern = location.pattern().unwrap();
        assert!(pattern.may_lead_to(&["Training"]));
        assert!(pattern.may_lead_to(&["Training", "Apple"]));
        assert!(!pattern.may_lead_to(&["Test"]));
        assert!(!pattern.may_lead_to(&["Training", "Banana"]));
        assert!(pattern.matches(&["Training", "Apple", "1.jpg"]));
        assert!(!pattern.matches(&["Training", "Apple", "deep", "1.jpg"]));

        let location = Location::parse("s3://b/**/*.jpg").unwrap();
        let pattern = location.pattern().unwrap();
        assert!(pattern.may_lead_to(&["any", "where"]));
        assert!(pattern.matches(&["any", "where", "1.jpg"]));
        assert!(!pattern.is_segmented());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s3:///x", "file://relative", "s3://b/[a"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_that_no_object_can_be_read_from_are_refused() {
        for (text, why) in [
            ("s3://b//", "an empty name between two '/'"),
            ("s3://b//x", "an empty name between two '/'"),
            ("s3://b/a//", "an empty name between two '/'"),
            ("s3://b/a//*.jpg", "an empty name between two '/'"),
            ("gs://b/a/./x", "'.' or '..'"),
            ("s3://b/../x/", "'.' or '..'"),
            ("s3://b/%2E%2E/x/", "'.' or '..'"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
        for (text, root) in [
            ("s3://b", ""),
            ("s3://b/", ""),
            ("s3://b/a/", "a"),
            ("http://host/a//b", "a/b"),
            ("/no//such/", "no/such"),
            ("file:///no//such/", "no/such"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.root().as_ref(), root, "{text}");
        }
    }
}
