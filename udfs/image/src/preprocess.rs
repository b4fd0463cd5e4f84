//! From 8-bit pixels to the numbers a network was trained on.
//!
//! Preprocessing belongs to the weights, not to the architecture: the same VGG16 takes Caffe's
//! conventions with the Keras weights and PyTorch's with those of torchvision.

/// Order, offset and scale of the colour channels, by the names of Keras's `imagenet_utils`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preprocessing {
    /// Blue, green, red; the ImageNet means subtracted, not scaled.
    Caffe,
    /// Red, green, blue from −1 to 1.
    Tf,
    /// Red, green, blue from 0 to 1, less the ImageNet means, over the ImageNet deviations.
    Torch,
}

/// Means of blue, green and red over ImageNet.
const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];
/// Means of red, green and blue over ImageNet, of pixels from 0 to 1.
const TORCH_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviations of red, green and blue over ImageNet, of pixels from 0 to 1.
const TORCH_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

impl Preprocessing {
    /// Name of the conventions, as Keras spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caffe => "caffe",
            Self::Tf => "tf",
            Self::Torch => "torch",
        }
    }

    /// Converts interleaved RGB bytes to interleaved network input of the same length.
    pub fn apply(self, rgb: &[u8], input: &mut [f32]) {
        debug_assert_eq!(rgb.len(), input.len());
        match self {
            Self::Caffe => each_pixel(rgb, input, |[red, green, blue]| {
                let [blue_mean, green_mean, red_mean] = CAFFE_MEAN;
                [blue - blue_mean, green - green_mean, red - red_mean]
            }),
            Self::Tf => each_pixel(rgb, input, |pixel| pixel.map(|value| value / 127.5 - 1.0)),
            Self::Torch => each_pixel(rgb, input, |pixel| {
                let mut out = pixel.map(|value| value / 255.0);
                for ((value, mean), deviation) in
                    out.iter_mut().zip(TORCH_MEAN).zip(TORCH_DEVIATION)
                {
                    *value = (*value - mean) / deviation;
                }
                out
            }),
        }
    }
}

fn each_pixel(rgb: &[u8], input: &mut [f32], convert: impl Fn([f32; 3]) -> [f32; 3]) {
    let (rgb, _) = rgb.as_chunks::<3>();
    let (input, _) = input.as_chunks_mut::<3>();
    for (pixel, out) in rgb.iter().zip(input) {
        *out = convert(pixel.map(f32::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(preprocessing: Preprocessing, rgb: [u8; 6]) -> [f32; 6] {
        let mut out = [0.0; 6];
        preprocessing.apply(&rgb, &mut out);
        out
    }

    #[test]
    fn caffe_swaps_and_centres() {
        assert_eq!(
            apply(Preprocessing::Caffe, [255, 128, 0, 1, 2, 3]),
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

    #[test]
    fn tf_scales_to_one() {
        assert_eq!(
            apply(Preprocessing::Tf, [0, 255, 51, 0, 0, 0]),
            [-1.0, 1.0, 51.0 / 127.5 - 1.0, -1.0, -1.0, -1.0]
        );
    }

    #[test]
    fn torch_standardises() {
        let out = apply(Preprocessing::Torch, [255, 255, 255, 0, 0, 0]);
        let expected = [
            2.248_908_3,
            2.428_571_5,
            2.64,
            -2.117_904,
            -2.035_714_1,
            -1.804_444_4,
        ];
        for (found, expected) in out.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
