//! `COPY` with its options.
//!
//! The client puts them into the statement's format, which our codec encodes; the scheduler puts
//! them back before it plans the statement.
//!
//! # To be filed upstream
//!
//! > **datafusion-proto 55.2: `COPY … OPTIONS` loses its options**
//! >
//! > `CopyToNode` has no field for `CopyTo::options`, and decoding (`proto/src/logical_plan/mod.rs`) makes the
//! > statement with an empty map: `COPY t TO 'x.csv' OPTIONS ('format.delimiter' ';')` writes commas on a cluster,
//! > and nobody is told. The message should carry the map.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result, not_impl_err};
use datafusion::datasource::file_format::csv::CsvFormatFactory;
use datafusion::datasource::file_format::parquet::ParquetFormatFactory;
use datafusion::datasource::file_format::{
    FileFormat, FileFormatFactory, file_type_to_format, format_as_file_type,
};
use datafusion::logical_expr::dml::CopyTo;

use crate::cluster::messages::FileFormatMessage;
use crate::cluster::stores::{StoreOptions, Stores};
use crate::object_stores::is_store_option;

/// A format by its name, and the options of the `COPY` that it belongs to.
pub(in crate::cluster) struct CopyFormat {
    inner: Arc<dyn FileFormatFactory>,
    options: HashMap<String, String>,
    stores: Stores,
}

impl CopyFormat {
    /// Moves the options of a statement into its format. `known` are the session's stores.
    ///
    /// # Errors
    /// When the format is not one that other machines know by its name.
    pub(in crate::cluster) fn pack(copy: &CopyTo, known: &Stores) -> Result<CopyTo> {
        let format = file_type_to_format(&copy.file_type)?;
        let mut stores = known.clone();
        stores.insert(&copy.output_url, StoreOptions::of(&copy.options));
        let options = copy.options.iter().filter(|(key, _)| !is_store_option(key));
        let packed = Self {
            inner: factory(&format.get_ext())?,
            options: options.map(|(k, v)| (k.clone(), v.clone())).collect(),
            stores: stores.only_location(&copy.output_url),
        };
        Ok(CopyTo::new(
            Arc::clone(&copy.input),
            copy.output_url.clone(),
            copy.partition_by.clone(),
            format_as_file_type(Arc::new(packed)),
            HashMap::new(),
        ))
    }

    /// The statement as the client read it, with `format` for the packed one, and the stores that
    /// it needs; `None` if it was not packed.
    pub(in crate::cluster) fn unpack(
        copy: &CopyTo,
        format: impl Fn(&str) -> Option<Arc<dyn FileFormatFactory>>,
    ) -> Result<Option<(CopyTo, Stores)>> {
        let packed = file_type_to_format(&copy.file_type)?;
        let Some(packed) = packed.downcast_ref::<Self>() else {
            return Ok(None);
        };
        let format = format(&packed.get_ext()).unwrap_or_else(|| Arc::clone(&packed.inner));
        let unpacked = CopyTo::new(
            Arc::clone(&copy.input),
            copy.output_url.clone(),
            copy.partition_by.clone(),
            format_as_file_type(format),
            packed.options.clone(),
        );
        Ok(Some((unpacked, packed.stores.clone())))
    }

    pub(in crate::cluster) fn to_message(&self) -> FileFormatMessage {
        FileFormatMessage {
            name: self.get_ext(),
            options: self.options.clone().into_iter().collect(),
            stores: Some(self.stores.to_message()),
        }
    }

    pub(in crate::cluster) fn from_message(message: FileFormatMessage) -> Result<Self> {
        Ok(Self {
            inner: factory(&message.name)?,
            options: message.options.into_iter().collect(),
            stores: Stores::from_message(message.stores.unwrap_or_default()),
        })
    }
}

/// The format of this name in every DataFusion.
fn factory(name: &str) -> Result<Arc<dyn FileFormatFactory>> {
    Ok(match name {
        "parquet" => Arc::new(ParquetFormatFactory::new()),
        "csv" => Arc::new(CsvFormatFactory::new()),
        _ => {
            return not_impl_err!(
                "COPY to the format '{name}' on a cluster; use PARQUET or CSV, or run the statement \
                 without --remote"
            );
        }
    })
}

/// Whether the options of a statement are in its format, as on its way from the client.
pub(crate) fn is_packed(copy: &CopyTo) -> bool {
    file_type_to_format(&copy.file_type).is_ok_and(|format| format.is::<CopyFormat>())
}

impl FileFormatFactory for CopyFormat {
    fn create(
        &self,
        state: &dyn Session,
        format_options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        self.inner.create(state, format_options)
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        self.inner.default()
    }
}

impl GetExt for CopyFormat {
    fn get_ext(&self) -> String {
        self.inner.get_ext()
    }
}

/// Without the options: other formats may have secrets among theirs.
impl fmt::Debug for CopyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.get_ext())
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::BallistaLogicalExtensionCodec;
    use datafusion::logical_expr::LogicalPlan;
    use datafusion::prelude::SessionContext;
    use datafusion_proto::logical_plan::AsLogicalPlan;
    use datafusion_proto::protobuf::LogicalPlanNode;

    #[tokio::test]
    async fn upstream_still_loses_them() {
        let ctx = SessionContext::new();
        let sql = "COPY (SELECT 1) TO 'x.csv' OPTIONS ('format.delimiter' ';')";
        let plan = ctx.state().create_logical_plan(sql).await.unwrap();
        let codec = BallistaLogicalExtensionCodec::default();
        let node = LogicalPlanNode::try_from_logical_plan(&plan, &codec).unwrap();
        let again = node.try_into_logical_plan(&ctx.task_ctx(), &codec).unwrap();
        for (plan, options) in [(plan, 1), (again, 0)] {
            let LogicalPlan::Copy(copy) = plan else {
                panic!("{plan}");
            };
            assert_eq!(copy.options.len(), options, "mended: this file can go");
        }
    }
}
