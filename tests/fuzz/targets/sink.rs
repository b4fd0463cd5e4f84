//! What a run finds in its target: a manifest, a journal, a lock.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Target;
use super::parts::{join, split};
use super::store::Session;

const RUN: &str = "0195f3a0-0000-7000-8000-000000000001";
const OLD: &str = "part-00000-0195f3a0-0000-7000-8000-000000000000-c000.csv";
const NEW: &str = "part-00000-0195f3a0-0000-7000-8000-000000000001-c000.csv";
const COPY: &str = "COPY (VALUES (1), (2)) TO 's3://b/t/' STORED AS CSV OPTIONS ('write_mode' ";

const TOKENS: &[&[u8]] = &[
    b"\"direction\": \"commit\"",
    b"\"roll_back\"",
    b"\"done\"",
    b"null",
    b"[]",
    b"{}",
    b"../",
    b"../other/part.csv",
    b"/other/part.csv",
    b"_temporary/",
    b"notes.txt",
    b"a=1/x.csv",
    b"\"path\": \"",
    b"\"name\": \"",
    NEW.as_bytes(),
    OLD.as_bytes(),
    RUN.as_bytes(),
    b"\\u0000",
    b"%2e%2e/",
    b"\"old_manifest\": ",
];

/// A manifest, a journal and a lock, each where it is not empty.
pub(crate) struct Sink {
    session: Session,
}

impl Sink {
    pub(crate) fn new() -> Self {
        Self {
            session: Session::new(),
        }
    }
}

fn manifest(part: &str, on_request: bool) -> String {
    format!(
        r#"{{"version": 1, "on_request": {on_request}, "run": "{RUN}", "written": "2026-01-01T00:00:00Z", "format": "csv", "write_mode": "overwrite", "parts": [{{"path": "{part}", "rows": 1, "bytes": 4}}], "rows": 1, "bytes": 4, "schema": [{{"name": "a", "type": "Int64", "nullable": true}}], "query": "Values"}}"#
    )
}

fn journal(direction: &str, old_manifest: &str) -> String {
    let manifest = manifest(NEW, true);
    format!(
        r#"{{"run": "{RUN}", "direction": "{direction}", "staged": [{{"path": "{NEW}", "rows": 1, "bytes": 4}}], "old": [{{"name": "{OLD}", "bytes": 4, "modified": "2026-01-01T00:00:00+00:00"}}], "had_success": true, "success": true, "old_manifest": {old_manifest}, "manifest": {manifest}}}"#
    )
}

/// What no statement of these may touch: other folders, and other programs' files in this one.
fn is_foreign(name: &str) -> bool {
    !name.starts_with("t/") || name.ends_with(".txt")
}

fn foreign(objects: &BTreeMap<String, Bytes>) -> Vec<(&String, &Bytes)> {
    objects
        .iter()
        .filter(|(name, _)| is_foreign(name))
        .collect()
}

impl Target for Sink {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let lock = format!(
            r#"{{"run": "{RUN}", "since": "2026-01-01 00:00:00 UTC", "process": {{"boot": "b", "namespace": "pid:[1]", "pid": 1, "started": 1}}}}"#
        );
        let old = manifest(OLD, true);
        let texts = [
            (old.as_str(), String::new(), ""),
            ("", journal("commit", "null"), ""),
            (&old, journal("roll_back", &manifest(OLD, false)), ""),
            ("", journal("done", "null"), ""),
            (
                &manifest("../other/part.csv", true),
                journal("commit", "null"),
                lock.as_str(),
            ),
        ];
        texts
            .iter()
            .map(|(manifest, journal, lock)| {
                join(&[manifest.as_bytes(), journal.as_bytes(), lock.as_bytes()])
            })
            .collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        TOKENS
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        256 * input.len() + (64 << 20)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let [manifest, journal, lock] = split(input);
        let run = format!("t/_temporary/featurize-{RUN}");
        let old = format!("t/{OLD}");
        let staged = format!("{run}/{NEW}.staged");
        let (journal_name, lock_name) = (format!("{run}/_COMMIT.json"), "t/_temporary/_LOCK");
        let mut objects: Vec<(&str, &[u8])> = vec![
            ("other/part.csv", b"a\n7\n"),
            ("part.csv", b"a\n8\n"),
            ("t/notes.txt", b"mine"),
            ("t/_SUCCESS", b""),
            (&old, b"a\n1\n"),
            (&staged, b"a\n2\n"),
        ];
        for (name, content) in [
            ("t/_MANIFEST.json", manifest),
            (&journal_name, journal),
            (lock_name, lock),
        ] {
            if !content.is_empty() {
                objects.push((name, content));
            }
        }
        self.session.fill(objects);
        let before = self.session.objects();
        let mode = ["'overwrite'", "'append'", "'error_if_exists'"][input.len() % 3];
        let outcome = self.session.run(&format!("{COPY}{mode})"));
        let after = self.session.objects();
        if foreign(&before) != foreign(&after) {
            return Err(format!(
                "what is not ours has changed: {:?}",
                foreign(&after)
            ));
        }
        let parts = || {
            after
                .iter()
                .filter(|(name, _)| name.ends_with(".csv") && !is_foreign(name))
        };
        match outcome {
            Ok(_) => {
                let is_new = |content: &Bytes| content.as_ref() == b"column1\n1\n2\n";
                let new = parts().filter(|(_, content)| is_new(content)).count();
                let rest = parts().count() - new;
                if new != 1 || input.len().is_multiple_of(3) && rest > 0 {
                    return Err(format!("{mode} is complete, and there is {after:?}"));
                }
                Ok(format!(
                    "{mode} is complete, {rest} others, {} objects",
                    after.len()
                ))
            }
            Err(error) => {
                if parts().count() == 0 {
                    return Err(format!(
                        "{mode} failed, and there is no data: {error}: {after:?}"
                    ));
                }
                Ok(error.to_string())
            }
        }
    }
}
