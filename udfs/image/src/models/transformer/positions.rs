//! Position embeddings for a grid of another size, by the arithmetic of PyTorch's `interpolate`.

/// Resizes a square grid of `from` × `from` vectors to `to` × `to`.
pub(super) fn resize(
    values: &[f32],
    channels: usize,
    from: usize,
    to: usize,
    antialias: bool,
) -> Vec<f32> {
    let windows = windows(from, to, antialias);
    // Rows first or columns first is the same but for rounding.
    let mut wide = vec![0.0; from * to * channels];
    for (row, out) in values
        .chunks_exact(from * channels)
        .zip(wide.chunks_exact_mut(to * channels))
    {
        for (window, out) in windows.iter().zip(out.chunks_exact_mut(channels)) {
            for (index, weight) in window {
                let vector = row.chunks_exact(channels).nth(*index).unwrap_or_default();
                for (out, value) in out.iter_mut().zip(vector) {
                    *out += weight * f64::from(*value);
                }
            }
        }
    }
    let row = to * channels;
    let mut all = Vec::with_capacity(to * row);
    for window in &windows {
        let mut sums = vec![0.0; row];
        for (index, weight) in window {
            let values = wide.chunks_exact(row).nth(*index).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        all.extend(sums.into_iter().map(|sum: f64| sum as f32));
    }
    all
}

/// The places that make up each new one, and their weights.
fn windows(from: usize, to: usize, antialias: bool) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let window = |place: usize| {
        let centre = scale * (place as f64 + 0.5);
        if antialias {
            // The filter of Pillow, whose support grows with the scale.
            let stretch = scale.max(1.0);
            let support = 2.0 * stretch;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weight = |index: usize| cubic((index as f64 - centre + 0.5) / stretch, -0.5);
            let total: f64 = (start..end).map(weight).sum();
            return (start..end)
                .map(|index| (index, weight(index) / total))
                .collect();
        }
        let at = centre - 0.5;
        let first = at.floor();
        let taps = (-1..=2).map(|step| {
            let index = first + f64::from(step);
            let clamped = index.clamp(0.0, (from - 1) as f64) as usize;
            (clamped, cubic(at - index, -0.75))
        });
        taps.collect()
    };
    (0..to).map(window).collect()
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch 2.15: F.interpolate(torch.arange(9.).pow(2).view(1, 1, 3, 3), size=(2, 2), mode="bicubic",
    // align_corners=False, antialias=…).flatten(), and size=(4, 4) of which the first row.
    #[test]
    fn grids_agree_with_torch() {
        let grid: Vec<f32> = (0..9_u8).map(|i| f32::from(i).powi(2)).collect();
        for (to, antialias, expected) in GOLDEN {
            let found = resize(&grid, 1, 3, to, antialias);
            assert_eq!(found.len(), to * to);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-3,
                    "{to} {antialias}: {found} {expected}"
                );
            }
        }
    }

    const GOLDEN: [(usize, bool, [f32; 4]); 4] = [
        (2, false, [1.430, 6.522, 32.397, 53.180]),
        (2, true, [2.871, 8.197, 30.284, 47.044]),
        (4, false, [-0.686, -0.564, 0.911, 2.677]),
        (4, true, [-0.506, -0.228, 1.267, 3.043]),
    ];
}
