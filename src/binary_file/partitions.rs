//! Hive partition columns: `…/year=2024/label=Apple/x.jpg`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use percent_encoding::percent_decode_str;

/// The value that Hive and Spark write for NULL.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Whether a folder name is `key=value`.
pub(super) fn is_partition(segment: &str) -> bool {
    split(segment).is_some()
}

/// The partition columns that a path's folders spell, all of them text.
pub(super) fn infer(folders: &[&str]) -> Vec<FieldRef> {
    folders
        .iter()
        .filter_map(|segment| split(segment))
        .map(|(key, _)| Arc::new(Field::new(key, DataType::Utf8, true)) as FieldRef)
        .collect()
}

/// The values of `columns` in the folders of one object; `None` is NULL.
///
/// # Errors
/// When the folders spell other columns than the table has.
pub(super) fn values(
    uri: &str,
    folders: &[&str],
    columns: &[FieldRef],
) -> Result<Vec<Option<String>>> {
    let found: Vec<(&str, &str)> = folders
        .iter()
        .filter_map(|segment| split(segment))
        .collect();
    let agree = found.len() == columns.len()
        && found
            .iter()
            .zip(columns)
            .all(|((key, _), column)| key == column.name());
    if !agree {
        let names = |keys: Vec<&str>| match keys.as_slice() {
            [] => "no partition columns".to_owned(),
            keys => format!("partition columns {}", keys.join(", ")),
        };
        return exec_err!(
            "the table has {} but '{uri}' lies in folders with {}; read folders of one layout, or \
             set 'recursiveFileLookup' to 'true' to read them all without partition columns",
            names(
                columns
                    .iter()
                    .map(|column| column.name().as_str())
                    .collect()
            ),
            names(found.iter().map(|(key, _)| *key).collect())
        );
    }
    found
        .into_iter()
        .map(|(_, value)| match value {
            HIVE_NULL => Ok(None),
            value => percent_decode_str(value)
                .decode_utf8()
                .map(|value| Some(value.into_owned()))
                .map_err(|e| exec_datafusion_err!("folder '{value}' of '{uri}': {e}")),
        })
        .collect()
}

/// Casts the text of a partition column to the column's declared type.
///
/// # Errors
/// When a value is not of that type.
pub(super) fn to_array(text: Vec<Option<String>>, column: &Field) -> Result<ArrayRef> {
    let text: ArrayRef = Arc::new(StringArray::from(text));
    if column.data_type() == &DataType::Utf8 {
        return Ok(text);
    }
    let strict = CastOptions {
        safe: false,
        ..Default::default()
    };
    cast_with_options(&text, column.data_type(), &strict).map_err(|e| {
        exec_datafusion_err!(
            "partition column '{}' is declared {}: {e}",
            column.name(),
            column.data_type()
        )
    })
}

fn split(segment: &str) -> Option<(&str, &str)> {
    segment.split_once('=').filter(|(key, _)| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_columns() {
        let columns = infer(&["year=2024", "plain", "label=Apple%20Red"]);
        let names: Vec<&str> = columns.iter().map(|c| c.name().as_str()).collect();
        assert_eq!(names, ["year", "label"]);
        let folders = ["year=__HIVE_DEFAULT_PARTITION__", "label=Apple%20Red"];
        assert_eq!(
            values("u", &folders, &columns).unwrap(),
            [None, Some("Apple Red".to_owned())]
        );
    }

    #[test]
    fn another_layout_is_an_error_that_says_what_to_do() {
        let columns = infer(&["year=2024"]);
        for folders in [&["label=a"][..], &[], &["year=1", "label=a"]] {
            let error = values("s3://b/x", folders, &columns)
                .unwrap_err()
                .to_string();
            assert!(error.contains("'s3://b/x'"), "{error}");
            assert!(error.contains("recursiveFileLookup"), "{error}");
        }
    }

    #[test]
    fn declared_types_are_kept() {
        let column = Field::new("year", DataType::Int32, true);
        let array = to_array(vec![Some("2024".into()), None], &column).unwrap();
        assert_eq!(array.data_type(), &DataType::Int32);
        let error = to_array(vec![Some("soon".into())], &column).unwrap_err();
        assert!(
            error.to_string().contains("'year' is declared Int32"),
            "{error}"
        );
    }
}
