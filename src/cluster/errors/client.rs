//! What a client shows of an error of the cluster.

use datafusion::common::DataFusionError;

use super::marked::Marked;
use crate::cluster::link::Link;

/// What a kind of errors writes before its text, and how it is made of the text.
type Kind = (&'static str, fn(String) -> DataFusionError);

/// The kinds of errors that hold a text.
const KINDS: [Kind; 6] = [
    ("Execution error: ", DataFusionError::Execution),
    ("Error during planning: ", DataFusionError::Plan),
    (
        "This feature is not implemented: ",
        DataFusionError::NotImplemented,
    ),
    (
        "Invalid or Unsupported Configuration: ",
        DataFusionError::Configuration,
    ),
    ("Resources exhausted: ", DataFusionError::ResourcesExhausted),
    ("External error: ", |text| {
        DataFusionError::External(text.into())
    }),
];

/// What stands between a step and the error in it.
const CAUSED_BY: &str = "\ncaused by\n";

/// An error of a query on the cluster, as it would be without one, and where it happened.
pub(in crate::cluster) fn as_local(error: DataFusionError, link: &Link) -> DataFusionError {
    if let Some(marked) = Marked::find(&error.to_string()) {
        let sentence = marked.sentence.trim_end();
        return of_kind(&match marked.executor.as_str() {
            "" => sentence.to_owned(),
            executor => format!("{sentence} (on executor {executor})"),
        });
    }
    match error {
        DataFusionError::Execution(text) => DataFusionError::Execution(in_words(&text, link)),
        other => other,
    }
}

/// An error that shows this text, as far as there is one.
fn of_kind(text: &str) -> DataFusionError {
    for (prefix, kind) in KINDS {
        if let Some(text) = text.strip_prefix(prefix) {
            return kind(text.to_owned());
        }
    }
    match text.split_once(CAUSED_BY) {
        Some((step, cause)) => of_kind(cause).context(step),
        None => DataFusionError::External(text.into()),
    }
}

/// A text of Ballista's own. Where that is the `Debug` of an error of the connection to the scheduler, it is
/// said in words; elsewhere an address has the scheme that is used, not the one that Ballista writes.
fn in_words(text: &str, link: &Link) -> String {
    if text.starts_with("tonic::transport::Error") {
        log::debug!("{text}");
        return format!("the scheduler at {link:?} is not reached any more");
    }
    if let Some(answer) = text.strip_prefix("Status { code: ") {
        log::debug!("{text}");
        let code = answer.split([',', ' ']).next().unwrap_or_default();
        let message = answer.split_once("message: \"");
        let message = message.map_or(String::new(), |(_, rest)| format!(": {}", unquoted(rest)));
        return format!("the scheduler at {link:?} has answered {code}{message}");
    }
    match link.is_secure() {
        true => text.replace("http://", "https://"),
        false => text.to_owned(),
    }
}

/// What the `Debug` of a text has between its quotes, the first of which is not there.
fn unquoted(quoted: &str) -> String {
    let mut text = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some(letter) => letter,
                None => break,
            },
            letter => letter,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use datafusion::common::{exec_datafusion_err, plan_datafusion_err};
    use tonic::Status;

    use super::super::mark;
    use super::*;
    use crate::cluster::Security;

    fn link() -> Link {
        Link::try_new("host0".to_owned(), 7, &Security::default()).unwrap()
    }

    #[test]
    fn errors_are_those_of_one_process_and_say_where() {
        for error in [
            exec_datafusion_err!("no 'x'"),
            plan_datafusion_err!("no 'x'"),
            DataFusionError::External("no 'x'".into()),
            exec_datafusion_err!("no 'x'").context("line 1"),
        ] {
            let text = error.to_string();
            for (executor, place) in [("", ""), ("host1:2", " (on executor host1:2)")] {
                let marked = mark(exec_datafusion_err!("{text}"), executor);
                // As Ballista wraps it.
                let job = DataFusionError::Execution(format!("Job x failed: {marked:?}\n"));
                let local = as_local(job, &link()).to_string();
                assert_eq!(local, format!("Execution error: {text}{place}"));
            }
            let marked = mark(error, "");
            let job = DataFusionError::Execution(format!("Job x failed: {marked:?}\n"));
            assert_eq!(as_local(job, &link()).to_string(), text);
        }
    }

    #[test]
    fn statuses_are_told_in_words() {
        let error = Status::unauthenticated("no \"token\"");
        let error = DataFusionError::Execution(format!("{error:?}"));
        let expected = "Execution error: the scheduler at df://host0:7 has answered Unauthenticated: \
                        no \"token\"";
        assert_eq!(as_local(error, &link()).to_string(), expected);
        let error = DataFusionError::Execution(format!("{:?}", Status::aborted("")));
        let expected = "Execution error: the scheduler at df://host0:7 has answered Aborted";
        assert_eq!(as_local(error, &link()).to_string(), expected);
    }
}
