//! Numbers for tests.

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
