//! The names that a session has, for completion.

use std::sync::mpsc;
use std::time::Duration;

use datafusion::common::TableReference;
use datafusion::common::utils::quote_identifier;
use datafusion::config::ConfigFileType;
use datafusion::prelude::SessionContext;
use datafusion_featurize::binary_file::credentials::opened_stores;
use object_store::ObjectStore as _;
use object_store::path::Path;
use tokio::runtime::Handle;
use url::Url;

use crate::docs::Page;

/// What is asked of a catalog or a store is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most tables whose columns are asked for.
const MOST_TABLES: usize = 50;

/// The formats that are no table factories.
const FORMATS: [&str; 4] = ["PARQUET", "CSV", "JSON", "ARROW"];

/// Asks the session at each question, since every statement may change it.
pub(crate) struct Names {
    ctx: SessionContext,
    /// Where questions to catalogs and stores are answered.
    runtime: Option<Handle>,
}

impl Names {
    pub(crate) fn new(ctx: &SessionContext) -> Self {
        Self {
            ctx: ctx.clone(),
            runtime: Handle::try_current().ok(),
        }
    }

    /// What may be `STORED AS`.
    pub(crate) fn formats(&self) -> Vec<String> {
        let state = self.ctx.state();
        let tables = state.table_factories().keys().cloned();
        tables.chain(FORMATS.map(str::to_owned)).collect()
    }

    /// Tables, by the shortest names that they can be called by.
    pub(crate) fn tables(&self) -> Vec<String> {
        let config = self.ctx.copied_config();
        let defaults = &config.options().catalog;
        let mut names = vec![];
        for catalog in self.ctx.catalog_names() {
            let Some(provider) = self.ctx.catalog(&catalog) else {
                continue;
            };
            for schema in provider.schema_names() {
                let in_catalog = catalog == defaults.default_catalog;
                let in_schema = in_catalog && schema == defaults.default_schema;
                let tables = provider.schema(&schema).map(|schema| schema.table_names());
                names.extend(tables.into_iter().flatten().map(|table| {
                    match (in_catalog, in_schema) {
                        (_, true) => TableReference::bare(table),
                        (true, _) => TableReference::partial(schema.as_str(), table),
                        _ => TableReference::full(catalog.as_str(), schema.as_str(), table),
                    }
                    .to_quoted_string()
                }));
            }
        }
        names
    }

    /// The columns of tables.
    pub(crate) fn columns(&self, tables: &[String]) -> Vec<String> {
        let (ctx, tables) = (self.ctx.clone(), tables.to_vec());
        let names = self.ask(async move {
            let mut names = vec![];
            for table in tables.into_iter().take(MOST_TABLES) {
                if let Ok(table) = ctx.table_provider(table).await {
                    let schema = table.schema();
                    let fields = schema.fields().iter();
                    names.extend(fields.map(|field| quote_identifier(field.name()).into_owned()));
                }
            }
            names
        });
        names.unwrap_or_default()
    }

    pub(crate) fn functions(&self) -> Vec<String> {
        let state = self.ctx.state();
        let scalar = state.scalar_functions().keys();
        let others = state.aggregate_functions().keys();
        let window = state.window_functions().keys();
        let tables = state.table_functions().keys();
        scalar
            .chain(others)
            .chain(window)
            .chain(tables)
            .cloned()
            .collect()
    }

    pub(crate) fn settings(&self) -> Vec<String> {
        let entries = self.ctx.copied_config().options().entries().into_iter();
        let of_runtime = self.ctx.runtime_env().config_entries();
        entries.chain(of_runtime).map(|entry| entry.key).collect()
    }

    /// The options of the statement, with the values that are known for them.
    pub(crate) fn options(&self, words: &[String]) -> Vec<(String, Vec<String>)> {
        let has = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let mut options = Page::Credentials.options();
        if has("BINARYFILE") {
            options.extend(Page::Table.options());
            return options;
        }
        options.extend(Page::Writing.options());
        let formats = [
            ("PARQUET", ConfigFileType::PARQUET),
            ("CSV", ConfigFileType::CSV),
            ("JSON", ConfigFileType::JSON),
        ];
        let format = formats.into_iter().find(|(name, _)| has(name));
        let mut known = self.ctx.state().default_table_options();
        if let Some((_, format)) = format {
            known.set_config_format(format);
            let of_format = known.entries().into_iter().map(|entry| entry.key);
            let of_format = of_format.filter(|name| name.starts_with("format."));
            options.extend(of_format.map(|name| (name, vec![])));
        }
        options
    }

    /// The folders and objects in a folder of a store that the session has opened, or such stores.
    pub(crate) fn objects(&self, address: &str) -> Option<Vec<String>> {
        let (scheme, rest) = address.split_once("://")?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let place = format!("{scheme}://{bucket}/");
        if !rest.contains('/') {
            let opened = opened_stores(&self.ctx.runtime_env()).into_iter();
            let opened = opened.map(|url| format!("{}/", url.as_str().trim_end_matches('/')));
            return Some(opened.collect());
        }
        let stores = &self.ctx.runtime_env().object_store_registry;
        let store = stores.get_store(&Url::parse(&place).ok()?).ok()?;
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder).ok()?;
        let listed = self.ask(async move { store.list_with_delimiter(Some(&folder)).await });
        let listed = listed?.ok()?;
        let folders = listed.common_prefixes.iter();
        let folders = folders.map(|folder| format!("{place}{folder}/"));
        let objects = listed.objects.iter();
        let objects = objects.map(|object| format!("{place}{}", object.location));
        Some(
            folders
                .chain(objects)
                .map(|name| name.replace('\'', "''"))
                .collect(),
        )
    }

    /// The answer to a question, if it comes in time.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = mpsc::channel();
        let task = self.runtime.as_ref()?.spawn(async move {
            // Who has waited long enough listens no more.
            let _ = sender.send(question.await);
        });
        let answer = answer.recv_timeout(PATIENCE).ok();
        task.abort();
        answer
    }
}
