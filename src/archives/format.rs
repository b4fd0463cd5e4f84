//! Which names are those of archives.

use object_store::path::Path;

/// How an archive holds its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Zip,
    Tar,
    /// A tar, compressed as a whole.
    TarGz,
}

impl Format {
    /// The format that a file or a glob of this name has, in letters of any case.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let ends = |ending: &str| {
            let start = name.len().checked_sub(ending.len());
            let end = start
                .filter(|start| *start > 0)
                .and_then(|start| name.get(start..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        if ends(".zip") {
            Some(Self::Zip)
        } else if ends(".tar") {
            Some(Self::Tar)
        } else if ends(".tar.gz") || ends(".tgz") {
            Some(Self::TarGz)
        } else {
            None
        }
    }
}

/// The beginnings of `path`, all of it included, that have the name of an archive, outermost first.
pub(crate) fn archives_in(path: &Path) -> Vec<(Path, Format)> {
    let text = path.as_ref();
    let ends = text.match_indices('/').map(|(end, _)| end);
    ends.chain([text.len()])
        .filter_map(|end| {
            let beginning = &text[..end];
            let name = beginning.rsplit('/').next().unwrap_or(beginning);
            Some((Path::parse(beginning).ok()?, Format::of(name)?))
        })
        .collect()
}

/// The same without `path` itself: archives that it may lie in, and what it is called there.
pub(crate) fn archives_around(path: &Path) -> impl Iterator<Item = (Path, Format, &str)> {
    archives_in(path)
        .into_iter()
        .filter_map(|(archive, format)| {
            let name = path.as_ref().strip_prefix(archive.as_ref())?;
            Some((archive, format, name.strip_prefix('/')?))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_their_endings() {
        for (name, format) in [
            ("fruits-360.zip", Some(Format::Zip)),
            ("A.ZIP", Some(Format::Zip)),
            ("*.tar", Some(Format::Tar)),
            ("shard-{000..009}.tar", Some(Format::Tar)),
            ("a.tar.gz", Some(Format::TarGz)),
            ("a.tgz", Some(Format::TarGz)),
            ("a.gz", None),
            (".zip", None),
            ("zip", None),
            ("a.zip.jpg", None),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }

    #[test]
    fn outermost_first() {
        let path = Path::parse("data/a.zip/in/b.tar/c.jpg").unwrap();
        let found: Vec<_> = archives_in(&path)
            .into_iter()
            .map(|(path, _)| path.to_string())
            .collect();
        assert_eq!(found, ["data/a.zip", "data/a.zip/in/b.tar"]);
        let names: Vec<_> = archives_around(&path).map(|(_, _, name)| name).collect();
        assert_eq!(names, ["in/b.tar/c.jpg", "c.jpg"]);
        let archive = Path::parse("a.tgz").unwrap();
        assert_eq!(archives_in(&archive).len(), 1);
        assert_eq!(archives_around(&archive).count(), 0);
        assert_eq!(archives_in(&Path::default()).len(), 0);
    }
}
