//! `weights => 'seeded'`: He-normal numbers that are the same on every machine, for ever.
//!
//! Random weights are enough for trials, tests and benchmarks, and random features are known to
//! separate images tolerably. The generator uses integer arithmetic and single, correctly rounded
//! floating-point operations only, no `ln` or `cos`, whose last bit differs between C libraries:
//!
//! 1. The seed of a tensor is the 64-bit FNV-1a hash of its name.
//! 2. Its element *i* (row-major, from 0) takes the three outputs 3*i*, 3*i* + 1 and 3*i* + 2 of
//!    the SplitMix64 sequence that starts from the seed, cut into twelve 16-bit integers.
//! 3. Their sum less its expectation, over 2¹⁶, has mean 0 and variance 1 − 2⁻³², and is close to
//!    normal (Irwin and Hall's sum of twelve uniforms).
//! 4. A kernel is that number times √(2 / fan-in) (He et al., "Delving deep into rectifiers",
//!    ICCV 2015), where the fan-in is the number of inputs to one output: the product of all
//!    dimensions but the last, and of a `depthwise_kernel` all but the last two. Everything else
//!    is that number times 0.1, around 1 for `gamma` and `moving_variance` and around 0 for
//!    `bias`, `beta` and `moving_mean`: small, and yet no test can miss a forgotten one.
//! 5. Transformers have other names and layouts: a `weight` of more than one dimension is that number over
//!    √fan-in, of all dimensions but the first; `weight` and `lambda1` of one dimension are around 1.
//!
//! Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use rayon::prelude::*;

use super::digest::sha256_hex;
use crate::models::Architecture;

/// Version of the recipe, part of the identity of seeded weights.
const RECIPE: &str = "datafusion-featurize seeded weights 1: fnv1a64(name), splitmix64, \
                      irwin-hall 12x16, he-normal kernels, 0.1 elsewhere";

/// Twelve 16-bit integers have this expected sum.
const EXPECTED_SUM: i64 = 12 * 65_535 / 2;
/// Standard deviation of what is not a kernel.
const SMALL: f64 = 0.1;

/// Source of seeded tensors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded;

impl Seeded {
    /// Identity of the seeded weights of `architecture`.
    pub(super) fn sha256(architecture: Architecture) -> String {
        sha256_hex(format!("{RECIPE}; {architecture}").as_bytes())
    }
}

impl SimpleBackend for Seeded {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, dev: &Device) -> Result<Tensor> {
        Tensor::from_vec(tensor(name, s.dims()), s, dev)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _dtype: DType, _dev: &Device) -> Result<Tensor> {
        bail!("seeded weights have no shape of their own for {name}")
    }

    fn contains_tensor(&self, _name: &str) -> bool {
        true
    }
}

/// Identity of the seeded weights of a transformer with this `config.json`.
pub(super) fn sha256_of(config: &str) -> String {
    sha256_hex(format!("{RECIPE}, 1/fan-in of transformers; {config}").as_bytes())
}

/// The values of the tensor `name`, row-major.
pub(super) fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let seed = fnv1a(name.as_bytes());
    let (offset, scale) = distribution(name, shape);
    let unit = scale / 65_536.0;
    let count = shape.iter().product::<usize>() as u64;
    (0..count)
        .into_par_iter()
        .map(|index| (offset + centred_sum(seed, index) as f64 * unit) as f32)
        .collect()
}

/// Mean and standard deviation of the elements of a tensor.
fn distribution(name: &str, shape: &[usize]) -> (f64, f64) {
    let kind = name.rsplit('.').next().unwrap_or(name);
    let outputs = match kind {
        "kernel" => 1,
        "depthwise_kernel" => 2,
        "gamma" | "moving_variance" | "lambda1" => return (1.0, SMALL),
        "weight" if shape.len() == 1 => return (1.0, SMALL),
        "weight" | "in_proj_weight" => {
            let fan_in: usize = shape.iter().skip(1).product();
            return (0.0, (1.0 / fan_in as f64).sqrt());
        }
        _ => return (0.0, SMALL),
    };
    let fan_in: usize = shape.iter().rev().skip(outputs).product();
    (0.0, (2.0 / fan_in as f64).sqrt())
}

/// Sum of the twelve 16-bit integers of element `index`, less its expectation.
fn centred_sum(seed: u64, index: u64) -> i64 {
    (0..3)
        .map(|draw| {
            let bits = split_mix(seed, 3 * index + draw);
            (0..4)
                .map(|part| ((bits >> (16 * part)) & 0xFFFF) as i64)
                .sum::<i64>()
        })
        .sum::<i64>()
        - EXPECTED_SUM
}

/// Output number `index` (from 0) of SplitMix64 started from `seed`.
fn split_mix(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(index + 1));
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// The 64-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_matches_its_published_sequence() {
        // The first outputs of Vigna's splitmix64.c from seed 1234567.
        let outputs: Vec<u64> = (0..3).map(|index| split_mix(1_234_567, index)).collect();
        assert_eq!(
            outputs,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn kernels_are_he_normal() {
        let shape = [3, 3, 64, 128];
        let values = tensor("block2_conv1.kernel", &shape);
        let n = values.len() as f64;
        let mean = values.iter().copied().map(f64::from).sum::<f64>() / n;
        let moment = |power| {
            values
                .iter()
                .map(|value| (f64::from(*value) - mean).powi(power))
                .sum::<f64>()
                / n
        };
        let variance = moment(2);
        let expected = 2.0 / (9.0 * 64.0);
        assert!(mean.abs() < 4.0 * (expected / n).sqrt(), "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.02, "{variance}");
        // Twelve uniforms have kurtosis 3 − 0.1.
        let kurtosis = moment(4) / (variance * variance);
        assert!((kurtosis - 2.9).abs() < 0.05, "{kurtosis}");
    }

    // The whole recipe once more, in numpy; the hashes are those of `seeded(name, shape).tobytes()`:
    //
    // import hashlib
    // import numpy as np
    //
    // def seeded(name, shape):
    //     seed = 0xCBF29CE484222325
    //     for byte in name.encode():
    //         seed = (seed ^ byte) * 0x100000001B3 % 2**64
    //     x = np.arange(1, 3 * np.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    //     x += np.uint64(seed)
    //     x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    //     x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    //     x ^= x >> np.uint64(31)
    //     z = x.astype("<u8").view("<u2").reshape(-1, 12).sum(axis=1, dtype=np.int64) - 393210
    //     kind = name.split(".")[-1]
    //     fan_in = {"kernel": shape[:-1], "depthwise_kernel": shape[:-2]}.get(kind)
    //     mean = 1.0 if kind in ("gamma", "moving_variance") else 0.0
    //     deviation = np.sqrt(2.0 / np.prod(fan_in)) if fan_in else 0.1
    //     return (mean + z * (deviation / 65536.0)).astype("<f4").reshape(shape)
    #[test]
    fn numbers_never_change() {
        for (name, shape, sha256) in [
            (
                "block1_conv1.kernel",
                [3, 3, 3, 64].as_slice(),
                "71ceda968b53a6b9685aeab59d7e8db920d726f82a9d9aad51fafd58be04ebb5",
            ),
            (
                "block1_conv1.bias",
                &[64],
                "bd6276e4bad21b8cf39bd41371184ee56c0a0fa552a9cbb4ad2d8c2b90bfbc38",
            ),
            (
                "block5_conv3.kernel",
                &[3, 3, 512, 512],
                "5b391e67240ec8fc3e7c1413e66c8972182e8117dee56196c99b7eadd7d47a67",
            ),
            (
                "expanded_conv_depthwise.depthwise_kernel",
                &[3, 3, 32, 1],
                "28368feffea60e600773419810422d16775b11820159fa66c07e11d701a415c7",
            ),
            (
                "bn_Conv1.moving_variance",
                &[32],
                "240e8d63738078208ce95090bb6424b73e40e6de85dd8bca432dc6463b85e386",
            ),
        ] {
            let bytes: Vec<u8> = tensor(name, shape)
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            assert_eq!(sha256_hex(&bytes), sha256, "{name}");
        }
    }
}
