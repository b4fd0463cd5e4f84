//! Axes: from values to places, round numbers between, and how they are drawn.

use maud::{Markup, html};

use crate::report::text::signed;

/// The values along an axis, from the smallest to the largest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range(pub(super) f64, pub(super) f64);

/// Numbers along an axis, and how they are written.
pub(super) type Ticks = Vec<(f64, String)>;

impl Range {
    /// The range of `values` with a margin on both sides.
    pub(super) fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.04 * (high - low);
        match low.is_finite() {
            true if margin.is_finite() && margin > 0.0 => Self(low - margin, high + margin),
            true => Self(low - 1.0, low + 1.0),
            false => Self(-1.0, 1.0),
        }
    }

    /// The place of a value of this range in another one, to a hundredth.
    fn map(&self, value: f64, other: &Self) -> f64 {
        let share = (value - self.0) / (self.1 - self.0);
        ((other.0 + share * (other.1 - other.0)) * 100.0).round() / 100.0
    }

    /// 1, 2 or 5 times a power of ten, which divides the range into about `count` parts; and its decimals.
    pub(super) fn step(&self, count: usize) -> (f64, usize) {
        let rough = (self.1 - self.0) / count as f64;
        let magnitude = 10f64.powf(rough.log10().floor());
        let mut steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * magnitude);
        let step = steps.find(|step| *step >= rough).unwrap_or(magnitude);
        (step, (-step.log10().floor()).clamp(0.0, 9.0) as usize)
    }

    /// The multiples of such a step.
    pub(super) fn ticks(&self, count: usize) -> Ticks {
        let (step, decimals) = self.step(count);
        let first = (self.0 / step).ceil() as i64;
        // However odd the values, a picture has few ticks.
        let last = ((self.1 / step).floor() as i64).min(first.saturating_add(20));
        let ticks = (first..=last).map(|index| index as f64 * step);
        ticks.map(|tick| (tick, signed(tick, decimals))).collect()
    }
}

/// Where a plot lies in its picture: from left to right, and from bottom to top.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame(pub(super) Range, pub(super) Range);

impl Frame {
    /// The place of a value across.
    pub(super) fn x(&self, range: &Range, value: f64) -> f64 {
        range.map(value, &self.0)
    }

    /// The place of a value up.
    pub(super) fn y(&self, range: &Range, value: f64) -> f64 {
        range.map(value, &self.1)
    }

    /// The numbers along the horizontal axis, with a line up for each if `lined`, and its name.
    pub(super) fn across(&self, range: &Range, ticks: &Ticks, name: &str, lined: bool) -> Markup {
        let Self(Range(left, right), Range(bottom, top)) = *self;
        html! {
            @for (tick, text) in ticks {
                @let x = self.x(range, *tick);
                @if lined { path d={ "M" (x) " " (bottom) "V" (top) } {} }
                text.x x=(x) y=(bottom + 18.0) { (text) }
            }
            text.axis x=(f64::midpoint(left, right)) y=(bottom + 40.0) { (name) }
        }
    }

    /// The numbers along the vertical axis, with a line across for each, and its name.
    pub(super) fn up(&self, range: &Range, ticks: &Ticks, name: &str) -> Markup {
        let Self(Range(left, right), Range(bottom, top)) = *self;
        html! {
            @for (tick, text) in ticks {
                @let y = self.y(range, *tick);
                path d={ "M" (left) " " (y) "H" (right) } {}
                text.y x=(left - 7.0) y=(y) { (text) }
            }
            text.axis transform={ "translate(16 " (f64::midpoint(bottom, top)) ") rotate(-90)" } { (name) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let ticks = |low, high, count| {
            let ticks = Range(low, high).ticks(count).into_iter();
            ticks.map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(ticks(-12.0, 31.0, 5), ["\u{2212}10", "0", "10", "20", "30"]);
        assert_eq!(ticks(0.0, 0.35, 4), ["0.0", "0.1", "0.2", "0.3"]);
        assert!(ticks(1e15, 1e15 + 1.0, 5).len() < 22);
    }

    #[test]
    fn odd_values_have_an_axis() {
        let frame = Frame(Range(0.0, 100.0), Range(100.0, 0.0));
        for values in [vec![], vec![3.0], vec![3.0, 3.0], vec![1e-300, 1e300]] {
            let range = Range::around(values.iter().copied());
            let placed = values
                .iter()
                .all(|value| frame.x(&range, *value).is_finite());
            assert!(placed && range.ticks(5).len() < 22, "{range:?}");
        }
    }
}
