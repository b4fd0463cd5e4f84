//! The tables that a report is made of, Parquet but for a ledger in CSV, and their columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Result, exec_err, plan_datafusion_err, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use datafusion_featurize::binary_file::credentials::register_object_store;
use futures::TryStreamExt;
use object_store::ObjectMeta;

use super::ReportArgs;
use super::labels::NO_LABEL;

/// A folder of files, registered with the session.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name in SQL.
    pub(super) name: &'static str,
    /// The option that named it, for messages.
    option: &'static str,
    location: String,
    pub(super) url: ListingTableUrl,
    pub(super) files: Vec<ObjectMeta>,
    schema: SchemaRef,
}

impl Table {
    /// Registers the files at `location` as the table `name`: Parquet, or CSV if that will do and there is
    /// no Parquet.
    pub(super) async fn open(
        ctx: &SessionContext,
        name: &'static str,
        option: &'static str,
        location: &str,
        takes_csv: bool,
    ) -> Result<Self> {
        let context = |e: datafusion::error::DataFusionError| {
            e.context(format!("{option} '{}'", without_secrets(location)))
        };
        register_object_store(&ctx.runtime_env(), location, &HashMap::new())
            .await
            .map_err(context)?;
        let url = ListingTableUrl::parse(location).map_err(context)?;
        let store = ctx.runtime_env().object_store(&url).map_err(context)?;
        let state = ctx.state();
        let list = async |ending: &str| {
            let listing = async {
                let files = url.list_all_files(&state, store.as_ref(), ending).await?;
                files.try_collect::<Vec<_>>().await
            };
            match listing.await {
                Ok(files) => Ok(files),
                Err(e) if is_not_found(&e) => Ok(vec![]),
                Err(e) => Err(context(e)),
            }
        };
        let mut stored = "PARQUET";
        let mut files = list(".parquet").await?;
        if files.is_empty() && takes_csv {
            stored = "CSV OPTIONS ('format.has_header' 'true')";
            files = list(".csv").await?;
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        if files.is_empty() {
            let or_csv = if takes_csv { " (or .csv)" } else { "" };
            return plan_err!(
                "{option} '{}': found no Parquet file there; expected a file whose name ends in \
                 .parquet{or_csv}, or a folder of such files, as COPY … STORED AS PARQUET writes",
                without_secrets(location)
            );
        }
        let quoted = location.replace('\'', "''");
        let (format, options) = stored.split_once(' ').unwrap_or((stored, ""));
        let create = format!(
            "CREATE EXTERNAL TABLE {name} STORED AS {format} LOCATION '{quoted}' {options}"
        );
        ctx.sql(&create).await.map_err(context)?;
        let schema = Arc::clone(ctx.table(name).await?.schema().inner());
        Ok(Self {
            name,
            option,
            location: location.to_owned(),
            url,
            files,
            schema,
        })
    }

    /// Where it lies, without what a URL may hold of credentials.
    pub(super) fn location(&self) -> String {
        without_secrets(&self.location)
    }

    /// An error that names the table.
    pub(super) fn refuse<T>(&self, problem: &str) -> Result<T> {
        plan_err!("{} '{}' {problem}", self.option, self.location())
    }

    /// The column of one of these names whose type `fits`. A name that the user gave must exist.
    pub(super) fn find(
        &self,
        flag: (&str, Option<&str>),
        names: &[&str],
        expected: &str,
        fits: fn(&DataType) -> bool,
    ) -> Result<Option<String>> {
        let (flag, given) = flag;
        let candidates: Vec<&str> = given.map_or_else(|| names.to_vec(), |name| vec![name]);
        for name in candidates {
            let Ok(field) = self.schema.field_with_name(name) else {
                continue;
            };
            if fits(field.data_type()) {
                return Ok(Some(name.to_owned()));
            }
            return self.refuse(&format!(
                "has a column '{name}' of {}; expected {expected}; name another column with {flag}",
                field.data_type()
            ));
        }
        match given {
            Some(name) => self.missing(name, expected, flag),
            None => Ok(None),
        }
    }

    pub(super) fn missing<T>(&self, name: &str, expected: &str, flag: &str) -> Result<T> {
        self.refuse(&format!(
            "has no column '{name}' ({expected}); it has {}; name the column with {flag}",
            self.described()
        ))
    }

    /// Names of the columns whose type `fits`.
    pub(super) fn columns(&self, fits: fn(&DataType) -> bool) -> Vec<String> {
        let fields = self.schema.fields().iter();
        fields
            .filter(|field| fits(field.data_type()))
            .map(|field| field.name().clone())
            .collect()
    }

    /// Names and types of the columns.
    pub(super) fn described(&self) -> String {
        let columns: Vec<String> = self
            .schema
            .fields()
            .iter()
            .map(|field| format!("{} ({})", field.name(), field.data_type()))
            .collect();
        columns.join(", ")
    }
}

/// The columns of the features that a report needs.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) path: String,
    /// The labels, as an expression of text without NULL.
    pub(super) label: String,
    /// Whether the label is the folder of the path, for want of a column.
    pub(super) label_is_folder: bool,
    pub(super) vectors: Vectors,
}

/// What the vectors are.
#[derive(Debug, Clone)]
pub(super) enum Vectors {
    /// The output of a network.
    Features(String),
    /// Already projected on principal components.
    Scores(String),
}

impl Vectors {
    /// The column's name, unquoted.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Features(name) | Self::Scores(name) => name,
        }
    }
}

const TEXT: &str = "text, such as the paths of STORED AS BINARYFILE";
const LABEL: &str = "text or a number";
const VECTOR: &str = "a list of numbers, as featurize and pca_transform return; if it was written as text, write it \
     to Parquet without CAST(… AS VARCHAR)";

impl Columns {
    pub(super) fn find(table: &Table, args: &ReportArgs) -> Result<Self> {
        let flag = ("--path-column", args.path_column.as_deref());
        let Some(path) = table.find(flag, &["path"], TEXT, is_text)? else {
            return table.missing("path", TEXT, flag.0);
        };
        let flag = ("--label-column", args.label_column.as_deref());
        let label = table.find(flag, &["label"], LABEL, is_label)?;
        let flag = ("--features-column", args.features_column.as_deref());
        let names = ["features", "features_pca"];
        let Some(vectors) = table.find(flag, &names, VECTOR, is_vector)? else {
            return table.missing("features", VECTOR, flag.0);
        };
        Ok(Self {
            label_is_folder: label.is_none(),
            label: format!(
                "arrow_cast(coalesce(nullif({}, ''), '{NO_LABEL}'), 'Utf8View')",
                label.map_or_else(
                    || format!("split_part({}, '/', -2)", text(&path)),
                    |label| text(&label),
                )
            ),
            path,
            vectors: match vectors.as_str() {
                "features_pca" => Vectors::Scores(vectors),
                _ => Vectors::Features(vectors),
            },
        })
    }
}

/// An identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column as text, in one of Arrow's types for it.
pub(super) fn text(column: &str) -> String {
    format!("arrow_cast({}, 'Utf8View')", quoted(column))
}

/// All rows of a query whose result is small.
pub(super) async fn rows(ctx: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    ctx.sql(sql).await?.collect().await
}

/// The only value of a query's only row, at `column`.
pub(super) fn value(
    batches: &[RecordBatch],
    column: usize,
) -> Result<datafusion::common::ScalarValue> {
    match batches.iter().find(|batch| batch.num_rows() > 0) {
        Some(batch) if column < batch.num_columns() => {
            datafusion::common::ScalarValue::try_from_array(batch.column(column), 0)
        }
        _ => exec_err!("a query of the report returned no row"),
    }
}

/// A column of a batch as `T`.
pub(super) fn column<T: 'static>(batch: &RecordBatch, index: usize) -> Result<&T> {
    batch
        .columns()
        .get(index)
        .and_then(|array| array.as_any().downcast_ref::<T>())
        .ok_or_else(|| {
            let found = batch.schema();
            plan_datafusion_err!("a query of the report returned {found} at column {index}")
        })
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn is_label(data_type: &DataType) -> bool {
    is_text(data_type) || data_type.is_integer() || *data_type == DataType::Boolean
}

fn is_vector(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => field.data_type().is_numeric(),
        _ => false,
    }
}

pub(super) fn is_binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

fn is_not_found(error: &datafusion::error::DataFusionError) -> bool {
    matches!(
        error.find_root(),
        datafusion::error::DataFusionError::ObjectStore(e)
            if matches!(**e, object_store::Error::NotFound { .. })
    )
}

/// A URL without user name, password and query, which may hold keys.
fn without_secrets(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else {
        return location.to_owned();
    };
    let rest = match scheme {
        "http" | "https" => rest.split(['?', '#']).next().unwrap_or_default(),
        _ => rest,
    };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match rest.contains('/') {
        true => format!("{scheme}://{host}/{path}"),
        false => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_shown_without_credentials() {
        for (location, shown) in [
            ("a/b?c", "a/b?c"),
            ("s3://bucket/a?b#c", "s3://bucket/a?b#c"),
            ("s3://bucket", "s3://bucket"),
            ("https://me:hush@host/a?X-Amz-Signature=1", "https://host/a"),
        ] {
            assert_eq!(without_secrets(location), shown);
        }
    }

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
    }
}
