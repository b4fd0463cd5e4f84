//! Installing the extension in a session.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProviderFactory;
use datafusion::common::Result;
use datafusion::config::{ConfigNonZeroUsize, ConfigOptions};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, Documentation, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::prelude::SessionContext;
use datafusion_functions_image::weights::WeightsAccess;

use crate::binary_file::{BinaryFileTableFactory, FILE_TYPE, FetchAfterJoins};
use crate::blobs::{self, FetchBlobs};
use crate::config::FeaturizeOptions;
use crate::lists_as_text::FixedSizeListsAsText;
use crate::object_stores::register_local_disk;
use crate::offload::OffloadComputation;
use crate::sink::{CopyToPlaces, InsertedNulls, WriteFormatFactory, WriteTableFactory};
use crate::weights::SessionStores;

/// Every scalar function of the extension.
pub fn all_default_scalar_functions() -> Vec<Arc<ScalarUDF>> {
    datafusion_functions_image::all_default_scalar_functions()
        .into_iter()
        .chain(datafusion_functions_pca::all_default_scalar_functions())
        .chain(blobs::functions())
        .collect()
}

/// The same, with weights and objects from the stores of a session.
fn session_functions(runtime: &RuntimeEnv) -> Vec<Arc<ScalarUDF>> {
    let access = WeightsAccess::new(Arc::new(SessionStores::new(runtime)));
    datafusion_functions_image::all_scalar_functions_with(&access)
        .into_iter()
        .chain(datafusion_functions_pca::all_default_scalar_functions())
        .chain(blobs::functions_with(&runtime.object_store_registry))
        .collect()
}

/// Every aggregate function of the extension.
pub fn all_default_aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    datafusion_functions_pca::all_default_aggregate_functions()
}

/// The same, with the memory and the temporary files of this runtime: to be registered anew when a session
/// has got another one, as after `SET datafusion.runtime.memory_limit`.
pub fn aggregate_functions_of(runtime: &RuntimeEnv) -> Vec<Arc<AggregateUDF>> {
    datafusion_functions_pca::aggregate_functions_with(runtime, || {
        let token = datafusion_functions_image::cancel::current();
        Arc::new(move || token.is_cancelled())
    })
}

/// Documentation of every function of the extension, by section, then by syntax.
pub fn all_default_documentation() -> Vec<Documentation> {
    let scalar = all_default_scalar_functions();
    let aggregate = all_default_aggregate_functions();
    let scalar = scalar.iter().filter_map(|f| f.documentation());
    let aggregate = aggregate.iter().filter_map(|f| f.documentation());
    let mut documented: Vec<Documentation> = scalar.chain(aggregate).cloned().collect();
    documented.sort_by_key(|doc| (doc.doc_section.label, doc.syntax_example.clone()));
    documented
}

/// Every table factory of the extension, with the word that follows `STORED AS`.
pub fn all_default_table_factories() -> Vec<(String, Arc<dyn TableProviderFactory>)> {
    vec![(FILE_TYPE.to_owned(), Arc::new(BinaryFileTableFactory))]
}

type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Every physical optimizer rule of the extension that may come after all others.
/// [`enable_featurize`] also installs [`FetchAfterJoins`] and [`FetchBlobs`], which have to come earlier.
pub fn all_default_physical_optimizer_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    vec![Arc::new(OffloadComputation)]
}

/// DataFusion's rule that lets the sources of files evaluate projections.
const PROJECTION_PUSHDOWN: &str = "ProjectionPushdown";

/// Puts the rules that come before others where they belong.
fn insert_early_rules(rules: &mut Vec<PhysicalRule>) {
    let early: [PhysicalRule; 2] = [Arc::new(FetchAfterJoins), Arc::new(FetchBlobs)];
    for rule in early {
        if rules.iter().any(|other| other.name() == rule.name()) {
            continue;
        }
        let pushdown = rules
            .iter()
            .position(|rule| rule.name() == PROJECTION_PUSHDOWN);
        rules.insert(pushdown.unwrap_or(rules.len()), rule);
    }
}

/// Every analyzer rule of the extension.
pub fn all_default_analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(CopyToPlaces),
        Arc::new(InsertedNulls),
        Arc::new(FixedSizeListsAsText),
    ]
}

/// The formats whose writing and tables `sink` takes over, as far as it can.
const WRITABLE_FORMATS: [&str; 4] = ["parquet", "csv", "json", "arrow"];

/// Lets the tables of these formats skip the files that their writing leaves beside the data.
fn wrap_table_factories(factories: &mut HashMap<String, Arc<dyn TableProviderFactory>>) {
    for format in WRITABLE_FORMATS {
        if let Some(factory) = factories.get_mut(&format.to_ascii_uppercase()) {
            *factory = WriteTableFactory::wrap(Arc::clone(factory));
        }
    }
}

/// Registers the functions where only functions can be registered.
///
/// A `SessionContext` takes the tables, rules and settings too: [`enable_featurize`]. Without the
/// rules a query that is cancelled still computes the batches it has begun, and functions installed
/// here fetch weights from the web, but not from the session's object stores.
///
/// # Errors
/// When the registry refuses a function.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    register(registry, all_default_scalar_functions())
}

fn register(registry: &mut dyn FunctionRegistry, scalar: Vec<Arc<ScalarUDF>>) -> Result<()> {
    for function in scalar {
        let replaced = registry.register_udf(function)?;
        log_replaced(replaced.as_ref().map(|function| function.name()));
    }
    for function in all_default_aggregate_functions() {
        let replaced = registry.register_udaf(function)?;
        log_replaced(replaced.as_ref().map(|function| function.name()));
    }
    Ok(())
}

fn log_replaced(name: Option<&str>) {
    if let Some(name) = name {
        log::debug!("overwrote the function {name}");
    }
}

/// Rows that operators gather for one batch, unless the session says otherwise.
///
/// DataFusion's default of 8,192 is meant for narrow rows. As many rows of 25,088 features take
/// 822 MB, and of pictures of 300 KB 2.4 GB, in every operator that gathers rows (filters,
/// exchanges, joins) and once more while it does so.
const BATCH_ROWS: usize = 256;

/// Sets [`BATCH_ROWS`], unless the session has another size than DataFusion's default.
fn bound_batches(options: &mut ConfigOptions) {
    let size = &mut options.execution.batch_size;
    if *size == ConfigOptions::default().execution.batch_size
        && let Ok(rows) = ConfigNonZeroUsize::try_new(BATCH_ROWS)
    {
        *size = rows;
    }
}

/// Installs functions, table factories, rules and settings in a session that exists already.
/// Statements that were prepared in it must be prepared again.
///
/// What `pca_fit` cannot hold in memory goes to the temporary folders, and what it takes is taken from the
/// memory, that the session has at this moment: call this again after a `SET datafusion.runtime.…`.
///
/// `datafusion.execution.batch_size` becomes 256 if it has DataFusion's default, so that wide rows
/// stay within bounds; set it afterwards to have another.
///
/// ```
/// # use datafusion::prelude::SessionContext;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::error::Result<()> {
/// let ctx = SessionContext::new();
/// datafusion_featurize::enable_featurize(&ctx)?;
/// ctx.sql("SET featurize.weights = 'seeded'").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the session refuses a function.
pub fn enable_featurize(ctx: &SessionContext) -> Result<()> {
    let runtime = ctx.runtime_env();
    register_local_disk(&runtime);
    let state = ctx.state_ref();
    let mut state = state.write();
    register(&mut *state, session_functions(&runtime))?;
    for function in aggregate_functions_of(&runtime) {
        state.register_udaf(function)?;
    }
    state
        .table_factories_mut()
        .extend(all_default_table_factories());
    for format in WRITABLE_FORMATS {
        if let Some(factory) = state.get_file_format_factory(format) {
            state.register_file_format(WriteFormatFactory::wrap(factory), true)?;
        }
    }
    wrap_table_factories(state.table_factories_mut());
    let options = state.config_mut().options_mut();
    if options.extensions.get::<FeaturizeOptions>().is_none() {
        bound_batches(options);
        options.extensions.insert(FeaturizeOptions::default());
    }
    // A built state takes no rules: build it anew.
    let mut early = state.physical_optimizers().to_vec();
    insert_early_rules(&mut early);
    let mut builder = SessionStateBuilder::new_from_existing(state.clone())
        .with_session_id(state.session_id().to_owned())
        .with_physical_optimizer_rules(early);
    for rule in all_default_physical_optimizer_rules() {
        let installed = state.physical_optimizers().iter();
        if !installed
            .map(|other| other.name())
            .any(|name| name == rule.name())
        {
            builder = builder.with_physical_optimizer_rule(rule);
        }
    }
    for rule in all_default_analyzer_rules() {
        let mut installed = state.analyzer().rules.iter();
        if !installed.any(|other| other.name() == rule.name()) {
            builder = builder.with_analyzer_rule(rule);
        }
    }
    *state = builder.build();
    Ok(())
}

/// Installs the functions that load weights anew, with this access to them.
///
/// # Errors
/// When the session refuses a function.
pub fn set_weights_access(ctx: &SessionContext, access: &WeightsAccess) -> Result<()> {
    let state = ctx.state_ref();
    let mut state = state.write();
    for function in datafusion_functions_image::all_scalar_functions_with(access) {
        state.register_udf(function)?;
    }
    update_functions(&mut state)
}

/// Tells the functions what the settings are now, as `SET` does.
///
/// `featurize` takes those that decide what features are when a statement is planned. Where the
/// settings of a session are changed in another way than by `SET` and `RESET`, call this afterwards.
///
/// # Errors
/// When the session refuses a function.
pub fn update_functions(state: &mut SessionState) -> Result<()> {
    let options = state.config().options();
    let functions = state.scalar_functions().values();
    let updated = functions.filter_map(|function| function.inner().with_updated_config(options));
    for function in updated.map(Arc::new).collect::<Vec<_>>() {
        state.register_udf(function)?;
    }
    Ok(())
}

/// Adds the extension to a [`SessionStateBuilder`].
///
/// ```
/// use datafusion::execution::SessionStateBuilder;
/// use datafusion::prelude::SessionContext;
/// use datafusion_featurize::SessionStateBuilderFeaturize;
///
/// // After `with_default_features`, which replaces the lists that this one extends, and after
/// // `with_runtime_env`, whose temporary folders are used for what does not fit in memory.
/// let state = SessionStateBuilder::new()
///     .with_default_features()
///     .with_featurize()
///     .build();
/// let ctx = SessionContext::new_with_state(state);
/// assert!(ctx.state().scalar_functions().contains_key("featurize"));
/// ```
pub trait SessionStateBuilderFeaturize {
    /// Adds functions, table factories, rules and settings; later names win over earlier ones. The
    /// batch size is changed as by [`enable_featurize`].
    ///
    /// Weights come from the object stores of the builder's runtime, and from the web only if it
    /// has none yet: call this after `with_runtime_env`.
    fn with_featurize(self) -> Self;
}

impl SessionStateBuilderFeaturize for SessionStateBuilder {
    fn with_featurize(mut self) -> Self {
        let (functions, aggregates) = match self.runtime_env() {
            Some(runtime) => {
                register_local_disk(runtime);
                (session_functions(runtime), aggregate_functions_of(runtime))
            }
            None => (
                all_default_scalar_functions(),
                all_default_aggregate_functions(),
            ),
        };
        self.scalar_functions()
            .get_or_insert_default()
            .extend(functions);
        self.aggregate_functions()
            .get_or_insert_default()
            .extend(aggregates);
        self.table_factories()
            .get_or_insert_default()
            .extend(all_default_table_factories());
        insert_early_rules(&mut self.physical_optimizers().get_or_insert_default().rules);
        self.physical_optimizer_rules()
            .get_or_insert_default()
            .extend(all_default_physical_optimizer_rules());
        self.analyzer_rules()
            .get_or_insert_default()
            .extend(all_default_analyzer_rules());
        if let Some(factories) = self.file_formats() {
            for factory in factories {
                if WRITABLE_FORMATS.contains(&factory.get_ext().to_ascii_lowercase().as_str()) {
                    *factory = WriteFormatFactory::wrap(Arc::clone(factory));
                }
            }
        }
        if let Some(factories) = self.table_factories() {
            wrap_table_factories(factories);
        }
        let options = self.config().get_or_insert_default().options_mut();
        if options.extensions.get::<FeaturizeOptions>().is_none() {
            bound_batches(options);
            options.extensions.insert(FeaturizeOptions::default());
        }
        self
    }
}
