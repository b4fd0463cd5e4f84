//! The tables that a report is made of, Parquet but for a ledger in CSV, and their columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::json::ArrayWriter;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{Error, ObjectMeta};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::options::ReportOptions;
use crate::object_stores::address::shown;
use crate::object_stores::register;

/// What a column holds: what is expected, in words, and whether a type is that.
pub(super) type Kind = (&'static str, fn(&DataType) -> bool);
pub(super) const TEXT: Kind = ("text, such as the paths of STORED AS BINARYFILE", is_text);
pub(super) const MODEL: Kind = ("a binary value, as pca_fit returns", DataType::is_binary);
const LABEL: Kind = ("text or a number", |data_type| {
    is_text(data_type) || data_type.is_integer() || *data_type == DataType::Boolean
});
const VECTOR: Kind = (
    "a list of numbers, as featurize and pca_transform return; if it was written as text, write it \
     to Parquet without CAST(… AS VARCHAR)",
    |data_type| item(data_type).is_some_and(DataType::is_numeric),
);

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        data_type => data_type.is_string(),
    }
}

fn item(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(item) | DataType::LargeList(item) => Some(item.data_type()),
        DataType::ListView(item) | DataType::LargeListView(item) => Some(item.data_type()),
        DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// A folder of files, registered with the session.
#[derive(Debug)]
pub(super) struct Table<'a> {
    options: &'a ReportOptions,
    /// The option that named it and where it lies, for messages.
    pub(super) described: String,
    /// Its name in SQL.
    pub(super) name: String,
    /// Where it lies, without what an address may hold of credentials.
    pub(super) location: String,
    pub(super) url: ListingTableUrl,
    pub(super) files: Vec<ObjectMeta>,
    schema: SchemaRef,
}

impl<'a> Table<'a> {
    /// Registers the files at `location`: Parquet, or for a ledger CSV if there is no Parquet.
    pub(super) async fn open(
        ctx: &SessionContext,
        options: &'a ReportOptions,
        option: &str,
        location: &str,
    ) -> Result<Self> {
        let described = format!("{} '{}'", options.name_of(option), shown(location));
        let context = |e: DataFusionError| e.context(described.clone());
        let (state, runtime) = (ctx.state(), ctx.runtime_env());
        let store = register(
            &runtime.object_store_registry,
            location,
            &options.of_stores(),
        )
        .await;
        store.map_err(context)?;
        let url = ListingTableUrl::parse(location).map_err(context)?;
        let store = runtime.object_store(&url).map_err(context)?;
        let list = async |ending: &str| {
            let files = url.list_all_files(&state, store.as_ref(), ending).await?;
            match files.try_collect::<Vec<_>>().await {
                Err(e) if is_not_found(&e) => Ok(vec![]),
                files => files,
            }
        };
        let (mut files, mut how) = (list(".parquet").await.map_err(context)?, "PARQUET");
        let or_csv = if option == "ledger" { " (or .csv)" } else { "" };
        if files.is_empty() && !or_csv.is_empty() {
            files = list(".csv").await.map_err(context)?;
            how = "CSV OPTIONS ('format.has_header' 'true')";
        }
        if files.is_empty() {
            return plan_err!(
                "{described}: found no Parquet file there; expected a file whose name ends in \
                 .parquet{or_csv}, or a folder of such files, as COPY … STORED AS PARQUET writes"
            );
        }
        files.sort_by(|a, b| a.location.cmp(&b.location));
        let (name, place) = (format!("report_{option}"), location.replace('\'', "''"));
        let create = format!("CREATE EXTERNAL TABLE {name} LOCATION '{place}' STORED AS {how}");
        ctx.sql(&create).await.map_err(context)?;
        Ok(Self {
            schema: Arc::clone(ctx.table(&name).await?.schema().inner()),
            location: shown(location),
            options,
            described,
            name,
            url,
            files,
        })
    }

    /// An error that names the table.
    pub(super) fn refuse<T>(&self, problem: &str) -> Result<T> {
        plan_err!("{} {problem}", self.described)
    }

    /// The column that the option names, else the first of `names` that there is; quoted.
    pub(super) fn find(
        &self,
        (expected, fits): Kind,
        (option, given): (&str, &Option<String>),
        names: &[&str],
    ) -> Result<String> {
        let given = given.as_deref();
        let names = given.as_ref().map_or(names, std::slice::from_ref);
        let option = self.options.name_of(option);
        let mut fields = names.iter().flat_map(|n| self.schema.field_with_name(n));
        match fields.next() {
            Some(field) if fits(field.data_type()) => Ok(quoted(field.name())),
            Some(field) => self.refuse(&format!(
                "has a column '{}' of {}; expected {expected}; name another column with {option}",
                field.name(),
                field.data_type()
            )),
            None => self.refuse(&format!(
                "has no column '{}' ({expected}); it has {}; name the column with {option}",
                names.first().unwrap_or(&""),
                self.columns()
            )),
        }
    }

    /// The columns of a kind: names, not quoted.
    pub(super) fn of(&self, (_, fits): Kind) -> Vec<&str> {
        let fields = self.schema.fields().iter();
        let fields = fields.filter(|field| fits(field.data_type()));
        fields.map(|field| field.name().as_str()).collect()
    }

    /// Names and types of the columns.
    pub(super) fn columns(&self) -> String {
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| format!("{} ({})", field.name(), field.data_type()));
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// The features, the columns of them that a report needs, and where they are queried.
pub(super) struct Source<'a> {
    pub(super) ctx: &'a SessionContext,
    pub(super) options: &'a ReportOptions,
    pub(super) features: Table<'a>,
    /// The paths, an expression of text.
    pub(super) path: String,
    /// The labels, an expression of text without NULL.
    pub(super) label: String,
    /// Whether the label is the folder of the path, for want of a column.
    pub(super) label_is_folder: bool,
    pub(super) vectors: String,
    /// Whether the vectors are scores already, and not the output of a network.
    pub(super) are_scores: bool,
}

impl<'a> Source<'a> {
    pub(super) async fn open(ctx: &'a SessionContext, options: &'a ReportOptions) -> Result<Self> {
        let features = Table::open(ctx, options, "features", &options.features).await?;
        let label = ("label_column", &options.label_column);
        let label_is_folder = label.1.is_none() && features.schema.index_of("label").is_err();
        let path = text(&features.find(TEXT, ("path_column", &options.path_column), &["path"])?);
        let label = match label_is_folder {
            true => format!("split_part({path}, '/', -2)"),
            false => text(&features.find(LABEL, label, &["label"])?),
        };
        let given = ("features_column", &options.features_column);
        let vectors = features.find(VECTOR, given, &["features", "features_pca"])?;
        Ok(Self {
            label: format!("coalesce(nullif({label}, ''), '(no label)')"),
            are_scores: vectors == quoted("features_pca"),
            ctx,
            options,
            features,
            path,
            label_is_folder,
            vectors,
        })
    }

    /// The number that `what` is of the features.
    pub(super) async fn count(&self, what: &str) -> Result<u64> {
        count(self.ctx, what, &self.features.name).await
    }
}

/// An identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An expression as text.
pub(super) fn text(expression: &str) -> String {
    format!("arrow_cast({expression}, 'Utf8View')")
}

/// All rows of a query whose result is small. The fields of `T` are columns; of NULL, NaN and infinity there is
/// none.
pub(super) async fn rows<T: DeserializeOwned>(ctx: &SessionContext, sql: &str) -> Result<Vec<T>> {
    let batches = ctx.sql(sql).await?.collect().await?;
    let mut json = ArrayWriter::new(vec![]);
    json.write_batches(&batches.iter().collect::<Vec<_>>())?;
    json.finish()?;
    let rows = serde_json::from_slice(&json.into_inner());
    rows.map_err(|e| exec_datafusion_err!("a query of the report returned something else: {e}"))
}

/// The number that `what` is in the first row of `from`.
pub(super) async fn count(ctx: &SessionContext, what: &str, from: &str) -> Result<u64> {
    #[derive(Deserialize)]
    struct Counted {
        n: Option<u64>,
    }
    let rows: Vec<Counted> = rows(ctx, &format!("SELECT {what} AS n FROM {from}")).await?;
    Ok(rows.first().and_then(|row| row.n).unwrap_or_default())
}

fn is_not_found(error: &DataFusionError) -> bool {
    let root = error.find_root();
    matches!(root, DataFusionError::ObjectStore(e) if matches!(**e, Error::NotFound { .. }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(super::quoted(r#"a"b"#), r#""a""b""#);
    }
}
