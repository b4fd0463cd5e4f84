//! What sessions of the program have beyond the extension, for other programs with a prompt.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use datafusion_cli::cli_context::CliSessionContext;
use datafusion_cli::functions::{
    ListFilesCacheFunc, MetadataCacheFunc, ParquetMetadataFunc, StatisticsCacheFunc,
};

use crate::url_tables::enable_url_tables;

/// Lets a session with the extension do what those of the `featurize` program do besides: queries name files
/// in the place of tables, formats of DataFusion's own take the options of stores, and the table functions
/// of datafusion-cli are there.
pub fn enable_program_sql(ctx: &SessionContext) {
    enable_url_tables(ctx);
    // Formats that are not ours pass over options of stores only if they know them.
    for scheme in ["s3", "gs"] {
        ctx.register_table_options_extension_from_scheme(scheme);
    }
    let caches = || Arc::clone(&ctx.runtime_env().cache_manager);
    ctx.register_udtf("parquet_metadata", Arc::new(ParquetMetadataFunc {}));
    ctx.register_udtf("metadata_cache", Arc::new(MetadataCacheFunc::new(caches())));
    ctx.register_udtf(
        "statistics_cache",
        Arc::new(StatisticsCacheFunc::new(caches())),
    );
    ctx.register_udtf(
        "list_files_cache",
        Arc::new(ListFilesCacheFunc::new(caches())),
    );
}
