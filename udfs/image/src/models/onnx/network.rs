//! A graph as a network: images in, features out.

use std::sync::Arc;

use ort::session::{OutputSelector, RunOptions};

use super::library::guarded;
use super::ports::{self, Input, Layout};
use super::session::{self, Opened};
use crate::pool::Workers;

/// Colour channels of an image.
const CHANNELS: usize = 3;

/// One output of a graph, for images of one size.
#[derive(Debug)]
pub(crate) struct OnnxNetwork {
    opened: Arc<Opened>,
    input: Input,
    side: usize,
    output: String,
    values: usize,
}

impl Opened {
    /// The side of the images that the graph takes; `None` if it takes any.
    ///
    /// # Errors
    ///
    /// If the graph takes no image: what was expected, and what it takes.
    pub(crate) fn side(&self) -> Result<Option<usize>, String> {
        Ok(Input::of(&self.inputs)?.side)
    }
}

impl OnnxNetwork {
    /// Runs the graph over a black image, as only then it is known what comes of images of this side.
    ///
    /// # Errors
    ///
    /// What the graph takes or gives, and what was expected.
    pub(crate) fn new(
        opened: Arc<Opened>,
        side: usize,
        output: Option<&str>,
    ) -> Result<Self, String> {
        let input = Input::of(&opened.inputs)?;
        let shape = shape(input.layout, side);
        let outputs = guarded(|| session::try_out(&mut opened.lock(), &input.name, shape));
        let outputs = outputs.map_err(|why| {
            format!("the graph does not run over an image of {side} × {side} pixels: {why}")
        })?;
        let (output, values) = ports::choose(&outputs, output)?;
        Ok(Self {
            opened,
            input,
            side,
            output,
            values,
        })
    }

    /// Height and width of an image.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// Numbers of one image's features.
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// Computes preprocessed images (n, height, width, 3), row-major, one after the other, until it is told to
    /// stop.
    pub(crate) fn run(
        &self,
        images: &[f32],
        out: &mut [f32],
        workers: Workers<'_>,
    ) -> candle_core::Result<()> {
        let work = || {
            let options = RunOptions::new().map_err(session::text)?;
            let wanted = OutputSelector::no_default().with(&self.output);
            let options = options.with_outputs(wanted);
            let shape = shape(self.input.layout, self.side);
            let mut planes = Vec::new();
            let mut session = self.opened.lock();
            let images = images.chunks_exact(self.side * self.side * CHANNELS);
            for (image, out) in images.zip(out.chunks_exact_mut(self.values)) {
                workers.check().map_err(|error| error.to_string())?;
                let image = match self.input.layout {
                    Layout::Pixels => image,
                    Layout::Planes => {
                        to_planes(image, &mut planes);
                        planes.as_slice()
                    }
                };
                let input = (self.input.name.as_str(), shape);
                session::run(&mut session, input, image, &options, out)?;
            }
            Ok(())
        };
        let done = workers.run_alone(|| guarded(work))?;
        done.map_err(|why: String| candle_core::Error::Msg(format!("ONNX Runtime: {why}")))
    }
}

fn shape(layout: Layout, side: usize) -> [usize; 4] {
    match layout {
        Layout::Planes => [1, CHANNELS, side, side],
        Layout::Pixels => [1, side, side, CHANNELS],
    }
}

/// One plane a channel of interleaved pixels.
fn to_planes(image: &[f32], planes: &mut Vec<f32>) {
    let (pixels, _) = image.as_chunks::<CHANNELS>();
    planes.clear();
    for channel in 0..CHANNELS {
        planes.extend(pixels.iter().filter_map(|pixel| pixel.get(channel)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_planes() {
        let mut planes = vec![9.0];
        to_planes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut planes);
        assert_eq!(planes, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
