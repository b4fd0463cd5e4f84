//! What there is where a query looks for a table by its place.

use std::path::Path;

use crate::sink::GLOB_CHARACTERS;
use crate::suggest::nearest;

/// Names in a folder that are compared with one that is not there.
const MOST_NAMES: usize = 10_000;

/// What to write for the place of a table that was not found, if it is one of this machine.
pub(super) fn hint(name: &str) -> Option<String> {
    let given = Path::new(name);
    let is_pattern = name.contains(GLOB_CHARACTERS);
    if given.exists() || is_pattern {
        let what = match (is_pattern && !given.exists(), given.is_dir()) {
            (true, _) => "no file of this pattern is",
            (false, true) => "no file in this folder is",
            (false, false) => "this file is not",
        };
        // A folder of which the tree is read.
        let tree = match given.is_dir() {
            true => " OPTIONS ('recursiveFileLookup' 'true')",
            false => "",
        };
        return Some(format!(
            "{what} of a format that a query reads (Parquet, CSV, JSON, Arrow); pictures are read by CREATE \
             EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{name}'{tree}"
        ));
    }
    if !name.contains('/') && given.extension().is_none() {
        return None;
    }
    let missing = given
        .ancestors()
        .take_while(|part| !part.as_os_str().is_empty() && !part.exists())
        .last()?;
    let folder = missing.parent()?;
    let wanted = missing.file_name()?.to_str()?;
    let shown = match folder.as_os_str().is_empty() {
        true => std::env::current_dir().ok()?,
        false => folder.to_owned(),
    };
    let names = shown.read_dir().ok()?.take(MOST_NAMES);
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = names.collect();
    let meant = match nearest(wanted, names.iter().map(String::as_str)) {
        Some(name) => format!("; did you mean '{}'?", folder.join(name).display()),
        None => String::new(),
    };
    Some(format!(
        "there is no '{wanted}' in '{}'{meant}",
        shown.display()
    ))
}
