//! Every instruction set of this machine against the portable one.

use proptest::prelude::*;

use super::{Isa, Kernel, LANES, Lanes, Simd, vectorize};

struct Operations<'a> {
    a: Lanes,
    b: Lanes,
    c: Lanes,
    out: &'a mut [Lanes; 9],
}

impl Kernel for Operations<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (a, b, c) = (simd.load(&self.a), simd.load(&self.b), simd.load(&self.c));
        let results = [
            simd.add(a, b),
            simd.sub(a, b),
            simd.mul(a, b),
            simd.max(a, b),
            simd.min(a, b),
            simd.mul_add(a, b, c),
            simd.splat(self.a.0[3]),
            simd.div(a, b),
            // The pattern of 8,388,608 + n ends in n.
            simd.scale(a, simd.splat(8_388_613.0)),
        ];
        for (out, value) in self.out.iter_mut().zip(results) {
            simd.store(out, value);
        }
    }
}

fn lanes() -> impl Strategy<Value = Lanes> {
    proptest::array::uniform16(-1e3f32..1e3).prop_map(Lanes)
}

proptest! {
    #[test]
    fn operations_agree_with_scalar_code(a in lanes(), b in lanes(), c in lanes()) {
        for isa in Isa::ALL {
            let Ok(arch) = isa.arch() else { continue };
            let mut out = [Lanes::ZERO; 9];
            arch.run(Operations { a, b, c, out: &mut out });
            for i in 0..LANES {
                let (a, b, c) = (a.0[i], b.0[i], c.0[i]);
                prop_assert_eq!(out[0].0[i], a + b, "{:?} add", isa);
                prop_assert_eq!(out[1].0[i], a - b, "{:?} sub", isa);
                prop_assert_eq!(out[2].0[i], a * b, "{:?} mul", isa);
                prop_assert_eq!(out[3].0[i], a.max(b), "{:?} max", isa);
                prop_assert_eq!(out[4].0[i], a.min(b), "{:?} min", isa);
                if isa == Isa::Portable {
                    prop_assert!((out[5].0[i] - a.mul_add(b, c)).abs() <= 0.25);
                } else {
                    prop_assert_eq!(out[5].0[i], a.mul_add(b, c), "{:?} mul_add", isa);
                }
            }
            prop_assert_eq!(out[6], Lanes([a.0[3]; LANES]), "{:?} splat", isa);
            for i in 0..LANES {
                let (a, b) = (a.0[i], b.0[i]);
                prop_assert_eq!(out[7].0[i].to_bits(), (a / b).to_bits(), "{:?} div", isa);
                if a.is_normal() {
                    prop_assert_eq!(out[8].0[i], a * 32.0, "{:?} scale", isa);
                }
            }
        }
    }
}

#[test]
fn kernels_agree_with_plain_loops() {
    let values: Vec<f64> = (0..37).map(|i| f64::from(i) / 3.0).collect();
    let mut sums = vec![1.0; 37];
    vectorize(
        #[inline(always)]
        || {
            for (sum, value) in sums.iter_mut().zip(&values) {
                *sum += value * value;
            }
        },
    );
    for (sum, value) in sums.iter().zip(&values) {
        assert_eq!(*sum, 1.0 + value * value);
    }
}
