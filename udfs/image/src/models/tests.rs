use candle_core::Device;

use super::*;
use crate::cancel::CancelToken;
use crate::conventions::{Conventions, Library};
use crate::pool::{ComputePool, Workers};
use crate::weights::WeightsSpec;

#[test]
fn unknown_names_get_a_suggestion() {
    let error = Architecture::parse("VGG-16").unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown model 'VGG-16', expected one of 'vgg16', 'mobilenet_v2', 'resnet50', \
         'inception_v3', 'mobilenet_v2_035', 'mobilenet_v2_050', 'mobilenet_v2_075', \
         'mobilenet_v2_130', 'mobilenet_v2_140'; did you mean 'vgg16'?"
    );
    let error = parse_pooling("average").unwrap_err().to_string();
    assert!(
        error.ends_with("'none', 'avg', 'max', 'cls', 'projection'; did you mean 'avg'?"),
        "{error}"
    );
}

#[test]
fn feature_maps() {
    use Architecture::{
        InceptionV3, MobileNetV2, MobileNetV2_035, MobileNetV2_140, ResNet50, Vgg16,
    };

    for (architecture, side, expected) in [
        (Vgg16, 224, (7, 7, 512)),
        (Vgg16, 100, (3, 3, 512)),
        (Vgg16, 32, (1, 1, 512)),
        (MobileNetV2, 224, (7, 7, 1280)),
        (MobileNetV2, 33, (2, 2, 1280)),
        (MobileNetV2_035, 160, (5, 5, 1280)),
        (MobileNetV2_140, 224, (7, 7, 1792)),
        (ResNet50, 224, (7, 7, 2048)),
        (ResNet50, 32, (1, 1, 2048)),
        (InceptionV3, 299, (8, 8, 2048)),
        (InceptionV3, 75, (1, 1, 2048)),
    ] {
        assert_eq!(
            architecture.feature_map(side),
            expected,
            "{architecture} {side}"
        );
        let torchvision = architecture.blueprint(Library::Torchvision);
        assert_eq!(
            torchvision.feature_map(side),
            Some(expected),
            "{architecture} {side}"
        );
        assert_eq!(architecture.side(Some(side)).unwrap(), side);
    }
    assert_eq!(InceptionV3.side(None).unwrap(), 299);
    let error = InceptionV3.side(Some(74)).unwrap_err().to_string();
    assert_eq!(
        error,
        "inception_v3 takes images of 75 to 1024 pixels a side, found 74"
    );
    assert!(Vgg16.side(Some(1025)).is_err());
}

/// The CPU kernels and Candle are two implementations of the same networks, and a GPU will run the
/// second: vectors must not tell which.
#[test]
fn kernels_agree_with_candle() {
    let pool = ComputePool::shared(0).unwrap();
    let workers = Workers {
        pool: &pool,
        cancel: &CancelToken::new(),
    };
    for (architecture, side, parameters) in [
        (Architecture::Vgg16, 32, 14_714_688),
        (Architecture::MobileNetV2, 97, 2_257_984),
        (Architecture::MobileNetV2_035, 64, 410_208),
        (Architecture::ResNet50, 65, 23_587_712),
        (Architecture::InceptionV3, 75, 21_802_784),
    ] {
        let weights = WeightsSpec::Seeded.load(architecture).unwrap();
        let variables = weights.var_builder(&Device::Cpu);
        let scale = if architecture == Architecture::Vgg16 {
            100.0
        } else {
            1.0
        };
        let mut state = 1_u32;
        let images: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scale * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .take(side * side * 3)
        .collect();
        for library in [Library::Keras, Library::Torchvision] {
            let conventions = Conventions {
                library,
                ..weights.conventions()
            };
            let pooling = match architecture {
                Architecture::MobileNetV2_035 => Pooling::Max,
                _ => Pooling::None,
            };
            {
                let run = |implementation| {
                    let network = architecture
                        .build(&variables, conventions, side, implementation)
                        .unwrap();
                    if library == Library::Keras {
                        assert_eq!(network.parameter_count, parameters, "{architecture}");
                    }
                    let mut out =
                        vec![f32::NAN; pooling.dimension(network.shape(pooling).unwrap())];
                    network.run(&images, 1, pooling, &mut out, workers).unwrap();
                    out
                };
                let expected = run(Implementation::Candle(Device::Cpu));
                let found = run(Implementation::Kernels);
                let norm = |values: &mut dyn Iterator<Item = f32>| {
                    values
                        .map(|value| f64::from(value).powi(2))
                        .sum::<f64>()
                        .sqrt()
                };
                let differences = found.iter().zip(&expected).map(|(a, b)| a - b);
                let error = norm(&mut { differences }) / norm(&mut expected.iter().copied());
                // Each side is off by up to 1e-5 from f64, as Keras is when it runs in f32: with
                // random weights a deep network amplifies rounding.
                let bound = if architecture == Architecture::Vgg16 {
                    1e-5
                } else {
                    5e-5
                };
                assert!(
                    error < bound,
                    "{architecture} {library:?} {pooling:?}: {error:e}"
                );
            }
        }
    }
}

/// Keras 3 counts the layers of a class in the order of the model, and InceptionV3's have no names.
#[test]
fn layers_are_in_kerass_order() {
    // [int(layer.name[7:] or 0) for layer in keras.applications.InceptionV3(weights=None).layers
    //  if "conv2d" in layer.name]
    const CONVOLUTIONS: [usize; 94] = [
        0, 1, 2, 3, 4, 8, 6, 9, 5, 7, 10, 11, 15, 13, 16, 12, 14, 17, 18, 22, 20, 23, 19, 21, 24,
        25, 27, 28, 26, 29, 34, 35, 31, 36, 32, 37, 30, 33, 38, 39, 44, 45, 41, 46, 42, 47, 40, 43,
        48, 49, 54, 55, 51, 56, 52, 57, 50, 53, 58, 59, 64, 65, 61, 66, 62, 67, 60, 63, 68, 69, 72,
        73, 70, 74, 71, 75, 80, 77, 81, 78, 79, 82, 83, 76, 84, 89, 86, 90, 87, 88, 91, 92, 85, 93,
    ];
    let name = |class: &str, number| match number {
        0 => class.to_owned(),
        number => format!("{class}_{number}"),
    };
    for (index, number) in CONVOLUTIONS.into_iter().enumerate() {
        let layer = |kind| Architecture::InceptionV3.layer(kind, index).unwrap();
        assert_eq!(layer(LayerKind::Conv2d), name("conv2d", number));
        let norm = name("batch_normalization", number);
        assert_eq!(layer(LayerKind::BatchNormalization), norm);
    }
    let resnet = |index| {
        Architecture::ResNet50
            .layer(LayerKind::Conv2d, index)
            .unwrap()
    };
    let first: Vec<String> = (0..6).map(resnet).collect();
    assert_eq!(
        first,
        [
            "conv1_conv",
            "conv2_block1_1_conv",
            "conv2_block1_2_conv",
            "conv2_block1_0_conv",
            "conv2_block1_3_conv",
            "conv2_block2_1_conv"
        ]
    );
}
