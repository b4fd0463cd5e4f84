//! What a process is doing while nothing counts up.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion_functions_image::counters;
use serde::Serialize;

static LISTINGS: AtomicU64 = AtomicU64::new(0);
static PICTURES: AtomicU64 = AtomicU64::new(0);
static LISTED: AtomicU64 = AtomicU64::new(0);

/// What a process is doing while nothing counts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Objects are listed, which for most tables is done before there is a plan.
    Listing,
    /// The weights of a network are read and packed.
    Loading,
    /// The pictures of a report are fetched and made small.
    Pictures,
    /// The rows of a `pca_fit` are there, and its components are computed.
    Fitting,
}

impl Stage {
    /// The stage of this process at this moment, of several the last that a query comes to.
    pub fn current() -> Option<Self> {
        if datafusion_functions_pca::fits_running() > 0 {
            Some(Self::Fitting)
        } else if counters::loading() > 0 {
            Some(Self::Loading)
        } else if PICTURES.load(Ordering::Relaxed) > 0 {
            Some(Self::Pictures)
        } else if LISTINGS.load(Ordering::Relaxed) > 0 {
            Some(Self::Listing)
        } else {
            None
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing => {
                let listed = LISTED.load(Ordering::Relaxed);
                f.write_str("listing")?;
                match listed {
                    0 => Ok(()),
                    listed => write!(f, " · {listed} objects so far"),
                }
            }
            Self::Pictures => f.write_str("reading pictures"),
            Self::Loading => f.write_str("loading the network"),
            Self::Fitting => f.write_str("fitting"),
        }
    }
}

/// Something that is a stage until it is dropped.
pub(crate) struct Running(&'static AtomicU64);

impl Running {
    pub(crate) fn listing() -> Self {
        if LISTINGS.fetch_add(1, Ordering::Relaxed) == 0 {
            LISTED.store(0, Ordering::Relaxed);
        }
        Self(&LISTINGS)
    }

    #[cfg(feature = "report")]
    pub(crate) fn pictures() -> Self {
        PICTURES.fetch_add(1, Ordering::Relaxed);
        Self(&PICTURES)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what listings have found.
pub(crate) fn add_listed(objects: usize) {
    LISTED.fetch_add(objects as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests list too, at the same time.
    #[test]
    fn a_listing_is_a_stage() {
        let listing = Running::listing();
        add_listed(7);
        assert!(Stage::current().is_some());
        let text = Stage::Listing.to_string();
        assert!(
            text.starts_with("listing · ") && text.ends_with(" objects so far"),
            "{text}"
        );
        drop(listing);
    }
}
