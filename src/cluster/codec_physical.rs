//! Physical plans on their way from the scheduler to the executors.

use std::sync::Arc;

use arrow::datatypes::Schema;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::{
    parse_physical_expr_with_converter, parse_physical_sort_exprs,
};
use datafusion_proto::physical_plan::to_proto::{
    serialize_physical_expr_with_converter, serialize_physical_sort_exprs,
};
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};

use super::codec_functions;
use super::codec_sink::{decode_write_spec, encode_write_spec};
use super::errors::name_executor;
use super::merging::MergeStatesExec;
use super::messages::{
    FetchMessage, MergeStatesMessage, NotNullMessage, OffloadMessage, Physical, ReadBlobMessage,
    SmallBatchesMessage, SortMessage,
};
use super::stored::WithStoresExec;
use super::stores::Stores;
use super::workarounds::SortPartitionsExec;
use crate::binary_file::{FetchExec, FetchParts, ListingSummary};
use crate::blobs::{BlobCall, ReadBlobExec};
use crate::offload::{NamedCall, OffloadExec, SmallBatchesExec};
use crate::sink::{CommitExec, NotNullExec, PartWriterExec};

/// What stands for a [`NamedCall`]; all of it are its children.
const NAMED_CALL: &[u8] = b"featurize.named_call";

/// Encodes the operators of this crate; Ballista's codec does the rest.
///
/// Only what the operators themselves say is encoded. Their inputs, cut down to the partitions of
/// a task, travel beside them.
#[derive(Debug, Default)]
pub struct FeaturizePhysicalCodec {
    inner: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for FeaturizePhysicalCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match Physical::read(buf)? {
            Physical::Fetch(message) => Arc::new(decode_fetch(message, only(inputs)?)?),
            Physical::Stores(message) => {
                let stores = Stores::from_message(message);
                // Readers of files below have taken their store from this runtime, which is not the
                // one of the execution.
                stores.register(&ctx.runtime_env())?;
                Arc::new(WithStoresExec::new(only(inputs)?, stores))
            }
            Physical::Offload(_) => Arc::new(OffloadExec::new(only(inputs)?)),
            Physical::MergeStates(_) => Arc::new(MergeStatesExec::new(only(inputs)?)),
            Physical::SmallBatches(_) => Arc::new(SmallBatchesExec::new(only(inputs)?)),
            Physical::PartWriter(message) => {
                let spec = Arc::new(decode_write_spec(message)?);
                // The order of the rows is the planner's business, which is done.
                Arc::new(PartWriterExec::new(only(inputs)?, spec, None))
            }
            Physical::Sort(message) => {
                let input = only(inputs)?;
                let decoding = PhysicalPlanDecodeContext::new(ctx, self);
                let (order, schema) = (&message.order, input.schema());
                let order = parse_physical_sort_exprs(order, &decoding, &schema, proto_converter)?;
                let Some(order) = LexOrdering::new(order) else {
                    return exec_err!("a sort came without an order");
                };
                let fetch = message.fetch.map(number).transpose()?;
                Arc::new(SortPartitionsExec::try_new(input, order, fetch)?)
            }
            Physical::ReadBlob(message) => {
                let input = only(inputs)?;
                let decoding = PhysicalPlanDecodeContext::new(ctx, self);
                let (uri, schema) = (message.uri.unwrap_or_default(), input.schema());
                let uri =
                    parse_physical_expr_with_converter(&uri, &schema, &decoding, proto_converter)?;
                let stores = Stores::from_message(message.stores.unwrap_or_default());
                let call = BlobCall::with_stores(message.tries, stores);
                Arc::new(ReadBlobExec::try_new(input, uri, call)?)
            }
            Physical::Commit(message) => {
                let spec = Arc::new(decode_write_spec(message)?);
                Arc::new(CommitExec::new(only(inputs)?, spec))
            }
            Physical::NotNull(message) => {
                Arc::new(NotNullExec::new(only(inputs)?, message.columns))
            }
            Physical::Opaque(bytes) => {
                let inner = &self.inner;
                let plan = inner.try_decode(&bytes, inputs, ctx, proto_converter)?;
                name_executor(plan, ctx)?
            }
        })
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let message = if let Some(fetch) = node.downcast_ref::<FetchExec>() {
            Physical::Fetch(encode_fetch(fetch)?)
        } else if node.is::<OffloadExec>() {
            Physical::Offload(OffloadMessage {})
        } else if node.is::<MergeStatesExec>() {
            Physical::MergeStates(MergeStatesMessage {})
        } else if node.is::<SmallBatchesExec>() {
            Physical::SmallBatches(SmallBatchesMessage {})
        } else if let Some(writer) = node.downcast_ref::<PartWriterExec>() {
            Physical::PartWriter(encode_write_spec(writer.spec())?)
        } else if let Some(reading) = node.downcast_ref::<ReadBlobExec>() {
            let uri = serialize_physical_expr_with_converter(reading.uri(), self, proto_converter)?;
            Physical::ReadBlob(ReadBlobMessage {
                uri: Some(uri),
                tries: reading.call().tries,
                stores: Some(reading.call().stores.to_message()),
            })
        } else if let Some(commit) = node.downcast_ref::<CommitExec>() {
            Physical::Commit(encode_write_spec(commit.spec())?)
        } else if let Some(checked) = node.downcast_ref::<NotNullExec>() {
            let columns = checked.columns().to_vec();
            Physical::NotNull(NotNullMessage { columns })
        } else if let Some(sort) = node.downcast_ref::<SortPartitionsExec>() {
            let order = sort.order().iter().cloned();
            Physical::Sort(SortMessage {
                order: serialize_physical_sort_exprs(order, self, proto_converter)?,
                fetch: sort.limit().map(|rows| rows as u64),
            })
        } else if let Some(with_stores) = node.downcast_ref::<WithStoresExec>() {
            Physical::Stores(with_stores.stores().to_message())
        } else {
            let mut bytes = vec![];
            self.inner.try_encode(node, &mut bytes, proto_converter)?;
            Physical::Opaque(bytes)
        };
        message.write(buf)
    }

    fn try_decode_expr(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        ctx: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match inputs {
            [call, path] if buf == NAMED_CALL => {
                Ok(Arc::new(NamedCall::new(Arc::clone(call), Arc::clone(path))))
            }
            _ => self.inner.try_decode_expr(buf, inputs, ctx),
        }
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        buf: &mut Vec<u8>,
        ctx: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        if node.is::<NamedCall>() {
            buf.extend_from_slice(NAMED_CALL);
            return Ok(());
        }
        self.inner.try_encode_expr(node, buf, ctx)
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        match codec_functions::decode(name, buf)? {
            Some(function) => Ok(function),
            None => self.inner.try_decode_udf(name, buf),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        match codec_functions::encode(node, buf) {
            true => Ok(()),
            false => self.inner.try_encode_udf(node, buf),
        }
    }

    fn try_decode_higher_order_function(
        &self,
        name: &str,
        buf: &[u8],
    ) -> Result<Arc<HigherOrderUDF>> {
        self.inner.try_decode_higher_order_function(name, buf)
    }

    fn try_encode_higher_order_function(
        &self,
        node: &HigherOrderUDF,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        self.inner.try_encode_higher_order_function(node, buf)
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.inner.try_decode_udaf(name, buf)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udaf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.inner.try_decode_udwf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udwf(node, buf)
    }
}

fn encode_fetch(fetch: &FetchExec) -> Result<FetchMessage> {
    let parts = fetch.to_parts();
    Ok(FetchMessage {
        schema: Some(parts.schema.as_ref().try_into()?),
        options: parts.options,
        files: parts.listing.files as u64,
        bytes: parts.listing.bytes,
        filters: parts.listing.filters,
        listed: parts.listing.listed as u64,
        retries: parts.listing.retries as u64,
    })
}

fn decode_fetch(message: FetchMessage, input: Arc<dyn ExecutionPlan>) -> Result<FetchExec> {
    let schema: Schema = (&message.schema.unwrap_or_default()).try_into()?;
    let parts = FetchParts {
        schema: Arc::new(schema),
        options: message.options,
        listing: ListingSummary {
            listed: number(message.listed)?,
            files: number(message.files)?,
            bytes: message.bytes,
            retries: number(message.retries)?,
            filters: message.filters,
        },
    };
    FetchExec::from_parts(parts, input)
}

fn number(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| exec_datafusion_err!("{number} is beyond this machine"))
}

fn only(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
    match inputs {
        [input] => Ok(Arc::clone(input)),
        _ => exec_err!("an operator with one input came with {}", inputs.len()),
    }
}
