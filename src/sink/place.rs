//! Places: what is typed is where it is written, character for character.
//!
//! DataFusion reads the target of a `COPY` and the `LOCATION` of a table as a URL, and a path
//! without a scheme as a glob. `COPY … TO '/data/photos [2024]/'` would go to `/data/`, and on S3
//! `Apple #1/` to `Apple /`, `x?y/` to `x/`, `Apple%20Red/` to `Apple Red/`. A [`Place`] is the URL
//! that DataFusion decodes to exactly what was typed; every `COPY` ([`CopyToPlaces`]) and every table
//! of a format that can be written gets one before DataFusion looks at it.

use std::path::{Component, Path as FilePath};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err, plan_datafusion_err, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::object_stores::address::{is_web, shown, split_scheme};

/// Names that a reader of a folder should see: as Spark and PyArrow do, not those that begin with
/// `_` or `.`.
pub(crate) const VISIBLE: &str = "[!_.]*";

/// What stays as it is in a URL: it can neither be taken for something else nor be normalised away.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'=');

/// What makes DataFusion take a path for a pattern.
pub(crate) const GLOB_CHARACTERS: [char; 3] = ['?', '*', '['];

/// The option of a `COPY` that says that its target is a place already. It holds the target, so
/// that nothing else can be meant by it; options of this prefix pass through every format.
pub(super) const IS_PLACE: &str = "execution.target_is_place";

/// A folder or a file, on the local disk or in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Decodes to what was typed.
    url: String,
}

impl Place {
    /// The place that the target of a statement names.
    ///
    /// # Errors
    /// When it names none, or one that cannot be reached under exactly this name.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match split_scheme(text) {
            None => Self::on_disk(text, FilePath::new(text)),
            Some((scheme, path)) if scheme == "file" => {
                let path = path.strip_prefix("localhost").unwrap_or(path);
                if !path.starts_with('/') {
                    return plan_err!("'{text}': expected 'file:///' and an absolute path");
                }
                Self::on_disk(text, FilePath::new(path))
            }
            Some((scheme, rest)) if is_web(&scheme) => {
                if rest.contains(['?', '#']) {
                    return plan_err!(
                        "'{}': a web address with '?' or '#' is no place to write to; write them \
                         as %3F and %23 if they belong to the name",
                        shown(text)
                    );
                }
                // An address of the web is written encoded, by everybody.
                Ok(Self {
                    url: text.to_owned(),
                })
            }
            Some((scheme, rest)) => Self::in_store(text, &scheme, rest),
        }
    }

    /// The place that the `LOCATION` of a table names; `None` for patterns and addresses of the web,
    /// which DataFusion reads as they are.
    ///
    /// A path is a pattern if it has a character of patterns, no `/` at its end, and nothing of the
    /// local disk has this name. (With a `/` at its end, DataFusion's patterns match nothing.)
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn of_location(text: &str) -> Result<Option<Self>> {
        let is_other = match split_scheme(text) {
            Some((scheme, _)) => is_web(&scheme),
            None => {
                text.contains(GLOB_CHARACTERS)
                    && !text.ends_with('/')
                    && !FilePath::new(text).exists()
            }
        };
        match is_other {
            true => Ok(None),
            false => Self::parse(text).map(Some),
        }
    }

    /// The URL, from which DataFusion makes this place.
    pub(crate) fn into_url(self) -> String {
        self.url
    }

    fn on_disk(text: &str, path: &FilePath) -> Result<Self> {
        if text.is_empty() {
            return plan_err!("'': expected a path or a URL");
        }
        let absolute =
            std::path::absolute(path).map_err(|e| plan_datafusion_err!("'{text}': {e}"))?;
        let mut names = vec![];
        for component in absolute.components() {
            match component {
                Component::Normal(name) => names.push(name.to_str().ok_or_else(|| {
                    plan_datafusion_err!("'{text}': the path is not valid UTF-8")
                })?),
                Component::ParentDir => {
                    names.pop();
                }
                Component::Prefix(prefix) => names.extend(prefix.as_os_str().to_str()),
                Component::CurDir | Component::RootDir => {}
            }
        }
        let is_folder = ["/", "/.", "/.."].iter().any(|end| text.ends_with(end))
            || matches!(text, "." | "..")
            || absolute.is_dir();
        if let Some(name) = names.last()
            && !is_folder
            && let Some((_, number)) = name.split_once('#')
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            return plan_err!(
                "'{text}': a file of the local disk whose name ends in '#' and a number cannot be \
                 written, because unfinished files are named so; choose another name"
            );
        }
        Self::try_new(text, "file:///", &names, is_folder)
    }

    fn in_store(text: &str, scheme: &str, rest: &str) -> Result<Self> {
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            return plan_err!("'{text}': expected '{scheme}://' and a bucket");
        }
        let store = format!("{scheme}://{authority}");
        ObjectStoreUrl::parse(&store)
            .map_err(|e| plan_datafusion_err!("'{}' names no bucket: {e}", shown(text)))?;
        let is_folder = key.is_empty() || key.ends_with('/');
        let key = key.strip_suffix('/').unwrap_or(key);
        let names: Vec<&str> = match key {
            "" if rest.ends_with("//") => vec![""],
            "" => vec![],
            key => key.split('/').collect(),
        };
        Self::try_new(text, &format!("{store}/"), &names, is_folder)
    }

    fn try_new(text: &str, store: &str, names: &[&str], is_folder: bool) -> Result<Self> {
        for name in names {
            let why = match *name {
                "" => "has an empty name between two '/'",
                "." | ".." => "has a name that is '.' or '..'",
                name if name.contains(|c: char| c.is_ascii_control()) => {
                    "has a control character, such as a line break, in a name"
                }
                _ => continue,
            };
            return plan_err!(
                "'{}' {why}; objects under such a name cannot be reached (object_store refuses \
                 them). Choose another name",
                shown(text)
            );
        }
        let path = names.join("/");
        let encoded: Vec<String> = names
            .iter()
            .map(|name| utf8_percent_encode(name, ENCODED).to_string())
            .collect();
        let slash = if is_folder && !names.is_empty() {
            "/"
        } else {
            ""
        };
        let url = format!("{store}{}{slash}", encoded.join("/"));
        // Whatever DataFusion makes of a URL: nothing is written anywhere else.
        let read = ListingTableUrl::parse(&url)?;
        if read.prefix().as_ref() != path || read.is_collection() != is_folder {
            return internal_err!("'{}' is read as '{}'", shown(text), read.prefix());
        }
        Ok(Self { url })
    }
}

/// Makes the target of every `COPY` a place, before DataFusion reads it as a pattern or a URL.
#[derive(Debug)]
pub struct CopyToPlaces;

impl AnalyzerRule for CopyToPlaces {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_down(|node| match node {
            LogicalPlan::Copy(mut copy)
                if copy.options.get(IS_PLACE) != Some(&copy.output_url) && !is_packed(&copy) =>
            {
                copy.output_url = Place::parse(&copy.output_url)?.into_url();
                let target = copy.output_url.clone();
                copy.options.insert(IS_PLACE.to_owned(), target);
                Ok(Transformed::yes(LogicalPlan::Copy(copy)))
            }
            node => Ok(Transformed::no(node)),
        });
        Ok(plan?.data)
    }

    fn name(&self) -> &'static str {
        "target_of_copy"
    }
}

/// A statement that has come from a client carries its options in its format, [`IS_PLACE`] among
/// them.
#[cfg(feature = "cluster")]
fn is_packed(copy: &datafusion::logical_expr::dml::CopyTo) -> bool {
    crate::cluster::is_packed(copy)
}

#[cfg(not(feature = "cluster"))]
fn is_packed(_copy: &datafusion::logical_expr::dml::CopyTo) -> bool {
    false
}

/// Whether a table with this pattern reads all of its folder, but for hidden files and perhaps other
/// formats: then the folder is what `LOCATION` names.
pub(super) fn is_everything(pattern: &str) -> bool {
    pattern.starts_with(VISIBLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (String, bool) {
        let url = Place::parse(text).unwrap().into_url();
        let read = ListingTableUrl::parse(url).unwrap();
        assert_eq!(*read.get_glob(), None, "{text}");
        (read.prefix().to_string(), read.is_collection())
    }

    #[test]
    fn places_are_what_is_typed() {
        for (text, path, is_folder) in [
            ("/nowhere/photos [2024]/", "nowhere/photos [2024]", true),
            ("/nowhere/a*b?c.csv", "nowhere/a*b?c.csv", false),
            ("/nowhere//x/", "nowhere/x", true),
            ("/nowhere/../x", "x", false),
            ("file:///nowhere/50%de/", "nowhere/50%de", true),
            ("file:/nowhere/x", "nowhere/x", false),
            ("FILE:///nowhere/x y/", "nowhere/x y", true),
            ("S3://b/x y/", "x y", true),
            ("s3://b/Apple #1/", "Apple #1", true),
            ("s3://b/x?y/z.csv", "x?y/z.csv", false),
            ("s3://b/Apple%20Red/", "Apple%20Red", true),
            ("s3://b/a%2Fb/%2E%2E/", "a%2Fb/%2E%2E", true),
            ("s3://b/%FF\\|^`\"<>/", "%FF\\|^`\"<>", true),
            ("s3://b", "", true),
            ("s3://b/", "", true),
            ("https://me:hush@host/a%20b/", "a b", true),
        ] {
            assert_eq!(read(text), (path.to_owned(), is_folder), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (text, expected) in [
            ("s3://b//x/", "an empty name"),
            ("s3://b//", "an empty name"),
            ("s3://b/x//y/", "an empty name"),
            ("s3://b/x/../y/", "'.' or '..'"),
            ("s3://b/x\ny/", "control character"),
            ("s3://b?x/", "names no bucket"),
            ("s3:///x/", "and a bucket"),
            (
                "https://me:hush@host/a?sig=hush",
                "'https://host/a?…': a web",
            ),
            ("/nowhere/x.csv#12", "'#' and a number"),
            ("", "expected a path"),
        ] {
            let error = Place::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn patterns_are_told_from_places() {
        let is_place = |text| Place::of_location(text).unwrap().is_some();
        assert!(is_place("/nowhere/x*/"));
        assert!(is_place("/nowhere/x"));
        assert!(is_place("s3://b/*.parquet"));
        assert!(!is_place("/nowhere/*.parquet"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a*b.parquet");
        assert!(!is_place(file.to_str().unwrap()));
        std::fs::write(&file, "").unwrap();
        assert!(is_place(file.to_str().unwrap()));
    }

    proptest! {
        /// Motive: no name may be read as another one.
        #[test]
        fn every_key_is_itself(names in proptest::collection::vec("[^/\\x00-\\x1f\\x7f]{1,8}", 1..4)) {
            prop_assume!(!names.iter().any(|name| name == "." || name == ".."));
            let key = names.join("/");
            for text in [format!("s3://b/{key}/"), format!("/nowhere/{key}/")] {
                let (path, is_folder) = read(&text);
                prop_assert!(is_folder);
                prop_assert_eq!(path.strip_prefix("nowhere/").unwrap_or(&path), &key);
            }
        }
    }
}
