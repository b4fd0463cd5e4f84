//! From 8-bit pixels to the numbers a network was trained on.
//!
//! Preprocessing belongs to the weights, not to the architecture: the same VGG16 takes Caffe's
//! conventions with the Keras weights and PyTorch's with those of torchvision.

/// Order, offset and scale of the colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preprocessing {
    /// Blue, green, red; the ImageNet means subtracted, not scaled. Keras calls it `caffe`.
    Caffe,
}

/// Means of blue, green and red over ImageNet, as Keras's `caffe` mode subtracts them.
const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];

impl Preprocessing {
    /// Name of the conventions, as Keras spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caffe => "caffe",
        }
    }

    /// Converts interleaved RGB bytes to interleaved network input of the same length.
    pub fn apply(self, rgb: &[u8], input: &mut [f32]) {
        debug_assert_eq!(rgb.len(), input.len());
        let (rgb, _) = rgb.as_chunks::<3>();
        let (input, _) = input.as_chunks_mut::<3>();
        match self {
            Self::Caffe => {
                let [blue_mean, green_mean, red_mean] = CAFFE_MEAN;
                for ([red, green, blue], out) in rgb.iter().zip(input) {
                    *out = [
                        f32::from(*blue) - blue_mean,
                        f32::from(*green) - green_mean,
                        f32::from(*red) - red_mean,
                    ];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caffe_swaps_and_centres() {
        let mut out = [0.0; 6];
        Preprocessing::Caffe.apply(&[255, 128, 0, 1, 2, 3], &mut out);
        assert_eq!(
            out,
            [
                -103.939,
                128.0 - 116.779,
                255.0 - 123.68,
                3.0 - 103.939,
                2.0 - 116.779,
                1.0 - 123.68
            ]
        );
    }
}
