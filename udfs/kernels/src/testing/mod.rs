//! Numbers and an oracle for tests.

pub(crate) mod reference;

/// A small generator (xorshift64*), so that a failing case is reproducible from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// `n` values between `-scale` and `scale`.
    pub(crate) fn values(&mut self, n: usize, scale: f32) -> Vec<f32> {
        let mut value = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..n).map(|_| scale * value()).collect()
    }
}

/// FNV-1a over the bits of `values`.
pub(crate) fn fingerprint(values: &[f32]) -> u64 {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Root mean square of `actual - expected`.
pub(crate) fn root_mean_square_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let squares = actual
        .iter()
        .zip(expected)
        .map(|(&actual, &expected)| (f64::from(actual) - expected).powi(2));
    (squares.sum::<f64>() / expected.len() as f64).sqrt()
}
