//! A sentence that survives being quoted.

use std::error::Error;
use std::fmt;
use std::io;

use ballista_core::error::BallistaError;
use datafusion::common::DataFusionError;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Before, between and after executor and sentence.
const BEGIN: &str = "[[featurize|";
const BETWEEN: char = '|';
const END: &str = "]]";

/// What does not stay as it is when it is quoted, or has a meaning here.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'|');

/// The longest sentence, in bytes.
const MOST: usize = 16 * 1024;

/// What a user is to read of an error.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Marked {
    /// Where it happened; empty for the scheduler.
    pub(super) executor: String,
    pub(super) sentence: String,
}

impl Marked {
    fn new(error: &DataFusionError, executor: &str) -> Self {
        let mut sentence = error.strip_backtrace();
        if sentence.len() > MOST {
            sentence.truncate(sentence.floor_char_boundary(MOST));
            sentence.push('…');
        }
        Self {
            executor: executor.to_owned(),
            sentence,
        }
    }

    /// The first one in a text.
    pub(super) fn find(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(BEGIN)?;
        let (executor, rest) = rest.split_once(BETWEEN)?;
        let (sentence, _) = rest.split_once(END)?;
        let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some(Self {
            executor: plain(executor),
            sentence: plain(sentence),
        })
    }
}

/// As Ballista quotes it, with `Debug` as with `Display`.
impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |text| utf8_percent_encode(text, ESCAPED);
        let (executor, sentence) = (escaped(&self.executor), escaped(&self.sentence));
        write!(f, "{BEGIN}{executor}{BETWEEN}{sentence}{END}")
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Marked {}

/// An error that happened on `executor`, or on the scheduler if that is empty. What Ballista itself acts on stays:
/// its own errors, and that an error is one of input and output, after which it tries again.
pub(in crate::cluster) fn mark(error: DataFusionError, executor: &str) -> DataFusionError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(e) = cause {
        if e.is::<BallistaError>() || e.is::<Marked>() {
            return error;
        }
        cause = e.source();
    }
    let marked = Marked::new(&error, executor);
    match error.find_root() {
        DataFusionError::IoError(e) => DataFusionError::IoError(io::Error::new(e.kind(), marked)),
        _ => DataFusionError::External(Box::new(marked)),
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::FailedTask;
    use datafusion::common::exec_datafusion_err;

    use super::*;

    const SENTENCE: &str = "'C:\\x|y].jpg': 100 % \"wrong\",\nnaïve…";

    /// What a scheduler makes of an error of a task.
    fn failed(error: DataFusionError) -> FailedTask {
        FailedTask::from(BallistaError::from(mark(error, "host1:50051")))
    }

    #[test]
    fn sentences_survive_being_quoted() {
        let error = exec_datafusion_err!("{SENTENCE}");
        let expected = Marked {
            executor: "host1:50051".to_owned(),
            sentence: format!("Execution error: {SENTENCE}"),
        };
        let failed = failed(error);
        assert!(!failed.retryable);
        // As after a last attempt, and in the log.
        for text in [failed.error.clone(), format!("reason: {:?}", failed.error)] {
            assert_eq!(Marked::find(&text).unwrap(), expected, "{text}");
        }
        assert_eq!(Marked::find("no marks"), None);
        assert_eq!(Marked::find("[[featurize|x|y"), None);
    }

    #[test]
    fn what_is_tried_again_is_tried_again() {
        let lost = io::Error::new(io::ErrorKind::ConnectionReset, "lost");
        let failed_task = failed(DataFusionError::from(lost).context("reading x"));
        assert!(failed_task.retryable);
        let marked = Marked::find(&failed_task.error).unwrap();
        assert!(marked.sentence.contains("lost"), "{marked}");
        let fetch = BallistaError::FetchFailed("e".to_owned(), 1, 2, "gone".to_owned());
        let fetched = failed(fetch.into_datafusion());
        assert_eq!(fetched.error, "gone");
    }

    #[test]
    fn no_sentence_is_endless() {
        let error = exec_datafusion_err!("{}", "…".repeat(MOST));
        let marked = Marked::new(&error, "");
        assert!(marked.sentence.len() < MOST + 8);
    }
}
