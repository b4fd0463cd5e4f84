//! What a session was told about its stores, in a form that travels.

use std::collections::BTreeMap;
use std::fmt;

use datafusion::common::{Result, config_err};
#[cfg(feature = "cluster")]
use datafusion::execution::object_store::ObjectStoreUrl;

use super::address::split_scheme;

/// What the options of stores begin with.
const PREFIXES: [&str; 3] = ["aws.", "azure.", "gcp."];

/// Whether an option says how a store is reached.
pub fn is_store_option(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Options of one statement that say how a store is reached; not shown, because they may be secrets.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StoreOptions(pub(crate) BTreeMap<String, String>);

impl StoreOptions {
    /// Those of `options` that are for a store and not for a table or format.
    pub(crate) fn of<'a>(options: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let options = options.into_iter().filter(|(key, _)| is_store_option(key));
        Self(options.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of an option by its whole name, such as `aws.region`.
    pub(super) fn get(&self, key: &str) -> Option<&String> {
        self.0.get(key)
    }

    /// A key without its secret would be ignored, and other credentials found in the environment.
    pub(super) fn check_pairs(&self) -> Result<()> {
        let has = |name: &str| self.0.contains_key(&format!("aws.{name}"));
        let (id, secret) = (has("access_key_id"), has("secret_access_key"));
        let missing = match (id, secret) {
            (true, false) => "secret_access_key",
            (false, true) => "access_key_id",
            (false, false) if has("session_token") => "access_key_id",
            _ => return Ok(()),
        };
        config_err!(
            "'aws.{missing}' is missing: aws.access_key_id and aws.secret_access_key go together, and \
             aws.session_token with both"
        )
    }

    /// Whether they say who asks, or that nobody in particular does.
    pub(super) fn name_credentials(&self) -> bool {
        self.0.keys().any(|key| {
            let credentials = ["aws.access_key_id", "aws.skip_signature", "aws.nosign"];
            let others = ["azure.endpoint", "azure.account_name"];
            match key.starts_with("aws.") {
                true => credentials.contains(&key.as_str()),
                false => !others.contains(&key.as_str()),
            }
        })
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreOptions({} not shown)", self.0.len())
    }
}

/// Stores with their options, by URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stores(pub(crate) BTreeMap<String, StoreOptions>);

impl Stores {
    /// The options of the store at this URL, if it is here.
    pub(crate) fn options(&self, url: &str) -> Option<&StoreOptions> {
        self.0.get(&store_url(url)?)
    }
}

/// How a session's stores are gathered, and picked for a plan that is sent.
#[cfg(any(feature = "cluster", test))]
impl Stores {
    #[cfg(feature = "cluster")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that the store of `location` is reached with `options`, if there are any.
    pub(crate) fn insert(&mut self, location: &str, options: StoreOptions) {
        if let Some(url) = store_url(location)
            && !options.is_empty()
        {
            self.0.insert(url, options);
        }
    }

    /// The stores among `urls`.
    #[cfg(feature = "cluster")]
    pub(crate) fn only<'a>(&self, urls: impl Iterator<Item = &'a ObjectStoreUrl>) -> Self {
        let known = urls.filter_map(|url| {
            let url = store_url(url.as_str())?;
            let options = self.0.get(&url)?.clone();
            Some((url, options))
        });
        Self(known.collect())
    }

    /// The store of `location`, if it is here.
    #[cfg(feature = "cluster")]
    pub(crate) fn only_location(&self, location: &str) -> Self {
        let url = store_url(location);
        let store = url.and_then(|url| Some((self.0.get(&url)?.clone(), url)));
        Self(
            store
                .into_iter()
                .map(|(options, url)| (url, options))
                .collect(),
        )
    }

    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Scheme and authority of a URL; `None` for the local disk.
pub(crate) fn store_url(location: &str) -> Option<String> {
    let (scheme, rest) = split_scheme(location)?;
    let authority = rest.split('/').next().unwrap_or_default();
    (scheme != "file").then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        pairs.collect()
    }

    #[test]
    fn options_of_stores_are_told_from_others_and_not_shown() {
        let mut stores = Stores::default();
        let given = options(&[("aws.secret_access_key", "hush"), ("format.delimiter", ";")]);
        stores.insert("s3://bucket/folder/", StoreOptions::of(&given));
        stores.insert("/local/folder", StoreOptions::of(&given));
        stores.insert(
            "s3://other/",
            StoreOptions::of(&options(&[("maxLength", "7")])),
        );
        assert_eq!(stores.urls().collect::<Vec<_>>(), ["s3://bucket"]);
        let shown = format!("{stores:?}");
        assert!(!shown.contains("hush"), "{shown}");
        let found = stores.options("s3://bucket/other/x").unwrap();
        let expected = options(&[("aws.secret_access_key", "hush")]);
        assert_eq!(*found, StoreOptions::of(&expected));
    }
}
