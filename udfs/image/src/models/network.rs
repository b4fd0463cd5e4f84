//! A network without its classifier, whoever does its arithmetic.

use candle_core::{Device, Error as TensorError};
use featurize_kernels::{Graph, Pooling};

use super::candle::Planes;
#[cfg(feature = "onnx")]
use super::onnx::OnnxNetwork;
use crate::pool::Workers;

/// Who does the arithmetic.
#[derive(Debug, Clone)]
pub(crate) enum Implementation {
    /// The CPU kernels of `featurize_kernels`.
    Kernels,
    /// Candle's own operations, on any device.
    Candle(Device),
}

/// A network without its classifier, ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    /// Trainable and other variables, as `model.summary()` counts them in Keras.
    pub(crate) parameter_count: usize,
    /// Height and width of an image.
    pub(crate) side: usize,
    /// Height, width and channels of what poolings read.
    shapes: Vec<(Pooling, (usize, usize, usize))>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Kernels(Box<featurize_kernels::Network>),
    Candle(Planes),
    #[cfg(feature = "onnx")]
    Onnx(OnnxNetwork),
}

impl Network {
    /// Makes a graph ready for images of this side.
    pub(crate) fn new(
        graph: Graph,
        parameter_count: usize,
        side: usize,
        implementation: Implementation,
    ) -> candle_core::Result<Self> {
        let shapes = graph.shapes((side, side)).map_err(TensorError::wrap)?;
        let read = |pooling| {
            let (node, skip) = graph.reading(pooling)?;
            let (height, width, channels) = *shapes.get(graph.index(node))?;
            Some((pooling, (height, width.checked_sub(skip)?, channels)))
        };
        let shapes: Vec<_> = Pooling::ALL.into_iter().filter_map(read).collect();
        let body = match implementation {
            Implementation::Kernels => {
                let network = graph.plan((side, side)).map_err(TensorError::wrap)?;
                log::debug!(
                    "{side} pixels: {} MB of packed weights, {} MB for each worker, {:?}",
                    network.packed_bytes() >> 20,
                    network.workspace_bytes() >> 20,
                    network.isa()
                );
                Body::Kernels(Box::new(network))
            }
            Implementation::Candle(device) => Body::Candle(Planes::new(graph, device)?),
        };
        Ok(Self {
            parameter_count,
            side,
            shapes,
            body,
        })
    }

    /// One output of an ONNX file: nothing but [`Pooling::None`] reads it.
    #[cfg(feature = "onnx")]
    pub(crate) fn of_onnx(network: OnnxNetwork, parameter_count: usize) -> Self {
        Self {
            parameter_count,
            side: network.side(),
            shapes: vec![(Pooling::None, (1, 1, network.values()))],
            body: Body::Onnx(network),
        }
    }

    /// Height, width and channels of what a pooling reads, if there is something.
    pub(crate) fn shape(&self, pooling: Pooling) -> Option<(usize, usize, usize)> {
        let mut shapes = self.shapes.iter();
        let (_, shape) = shapes.find(|(other, _)| *other == pooling)?;
        Some(*shape)
    }

    /// The poolings that there are.
    pub(crate) fn poolings(&self) -> Vec<Pooling> {
        self.shapes.iter().map(|(pooling, _)| *pooling).collect()
    }

    /// Computes preprocessed images (n, height, width, 3), row-major, into the values that `pooling`
    /// makes of each, on `workers`, until they are told to stop.
    pub(crate) fn run(
        &self,
        images: &[f32],
        count: usize,
        pooling: Pooling,
        out: &mut [f32],
        workers: Workers<'_>,
    ) -> candle_core::Result<()> {
        match &self.body {
            Body::Kernels(network) => {
                let Workers { pool, cancel } = workers;
                let done = network.run(images, count, pooling, out, pool.kernels(), cancel);
                done.map_err(TensorError::wrap)
            }
            Body::Candle(planes) => {
                let shape = (count, self.side, self.side, 3);
                planes.run(images, shape, pooling, out, workers)
            }
            #[cfg(feature = "onnx")]
            Body::Onnx(network) => network.run(images, out, workers),
        }
    }
}
