//! Axes: from values to places, and round numbers between.

/// A linear axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Values at both ends; the first is the smaller.
    pub(super) values: (f64, f64),
    /// Where they lie in the picture.
    pub(super) places: (f64, f64),
}

impl Axis {
    /// An axis over `values` with a margin on both sides.
    pub(super) fn around(values: impl Iterator<Item = f64> + Clone, places: (f64, f64)) -> Self {
        const MARGIN: f64 = 0.04;
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let values = match high - low {
            extent if extent.is_finite() && extent > 0.0 => {
                (low - MARGIN * extent, high + MARGIN * extent)
            }
            // One value, or none.
            _ if low.is_finite() => (low - 1.0, low + 1.0),
            _ => (-1.0, 1.0),
        };
        Self { values, places }
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Multiples of 1, 2 or 5 times a power of ten, about `count` of them.
    pub(super) fn ticks(&self, count: usize) -> Ticks {
        let rough = (self.values.1 - self.values.0) / count.max(1) as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * magnitude)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(magnitude);
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let first = (self.values.0 / step).ceil() as i64;
        let last = (self.values.1 / step).floor() as i64;
        // However odd the values, a picture has few ticks.
        let last = last.min(first.saturating_add(20));
        Ticks {
            values: (first..=last).map(|index| index as f64 * step).collect(),
            decimals,
        }
    }
}

/// Values to be written along an axis.
#[derive(Debug)]
pub(super) struct Ticks {
    pub(super) values: Vec<f64>,
    pub(super) decimals: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let ticks = |values, count| {
            Axis {
                values,
                places: (0.0, 1.0),
            }
            .ticks(count)
        };
        assert_eq!(
            ticks((-12.0, 31.0), 5).values,
            [-10.0, 0.0, 10.0, 20.0, 30.0]
        );
        assert_eq!(
            ticks((0.0, 0.35), 4).values,
            [0.0, 0.1, 0.2, 0.30000000000000004]
        );
        assert_eq!(ticks((0.0, 0.35), 4).decimals, 1);
        assert!(ticks((1e15, 1e15 + 1.0), 5).values.len() < 22);
    }

    #[test]
    fn odd_values_have_an_axis() {
        for values in [vec![], vec![3.0], vec![3.0, 3.0], vec![1e-300, 1e300]] {
            let axis = Axis::around(values.iter().copied(), (0.0, 100.0));
            assert!(
                values.iter().all(|v| axis.place(*v).is_finite()),
                "{axis:?}"
            );
            assert!(axis.ticks(5).values.len() < 22);
        }
    }
}
