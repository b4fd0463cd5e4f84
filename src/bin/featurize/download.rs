//! How a download of weights is shown.

use datafusion_featurize::image::weights::{Progress, Stage};
use indicatif::ProgressBar;

use crate::progress::{BARS, style};

/// A download that goes on; it is taken off the screen when it is dropped.
pub(crate) struct Download {
    bar: Option<ProgressBar>,
    message: String,
}

impl Download {
    pub(crate) fn new(with_bar: bool) -> Self {
        // The name of the file alone takes most of a line.
        let template = "{msg}\n{bytes} of {total_bytes} · {bytes_per_sec} · {eta} left {wide_bar}";
        let bar = || BARS.insert(0, ProgressBar::new(0).with_style(style(template)));
        Self {
            bar: with_bar.then(bar),
            message: String::new(),
        }
    }

    pub(crate) fn update(&mut self, progress: &Progress<'_>) {
        self.message = progress.to_string();
        let Some(bar) = &self.bar else {
            return;
        };
        if progress.stage == Stage::Receiving {
            // How much there is of it says the line below.
            bar.set_message(format!("downloading {}", progress.file));
            bar.set_length(progress.size);
            bar.set_position(progress.received);
        } else {
            bar.set_message(self.message.clone());
        }
    }

    /// What it has come to, in a line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
