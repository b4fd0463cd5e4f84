//! When to look at the residuals of a growing Krylov space.

use crate::krylov::operator::{Space, Wanted};

/// When to look at the residuals: for a matrix in memory that costs as much as many products.
pub(crate) struct Checks {
    space: Space,
    next: usize,
    /// Dimension at which the residuals were last looked at, and what [`Self::plan`] was told; before the
    /// first look, where residuals begin to fall, and from where.
    previous: Option<(usize, f64)>,
    /// Whether that was seen.
    looked: bool,
}

impl Checks {
    pub(crate) fn new(wanted: Wanted, tolerance: f64, space: Space) -> Self {
        Self {
            space,
            next: Self::first(wanted, space),
            previous: match wanted {
                Wanted::Count(k) => Some((k, -tolerance.ln())),
                Wanted::Sum(_) => None,
            },
            looked: false,
        }
    }

    /// The space has been replaced by one of this dimension.
    pub(crate) fn start_anew(&mut self, used: usize) {
        self.next = if self.space.eager {
            0
        } else {
            used + 2 * self.space.block
        };
        self.previous = None;
    }

    pub(crate) fn due(&self, used: usize) -> bool {
        used >= self.next
    }

    /// Plans the next look, given the logarithm of the ratio of the worst residual to what is asked, if
    /// the space holds enough values yet: residuals fall by a growing factor with every block.
    pub(crate) fn plan(&mut self, used: usize, behind: Option<f64>) {
        let block = self.space.block;
        let step = match (self.previous, behind) {
            _ if self.space.eager => 0,
            (Some((at, before)), Some(behind)) if before > behind => {
                let pace = (before - behind) / used.saturating_sub(at).max(1) as f64;
                // The pace since the beginning is less than that of today.
                let share = if self.looked { 0.8 } else { 0.5 };
                ((share * behind / pace) as usize).min(used / 2).max(block)
            }
            // Soon, to see the pace.
            (None, Some(_)) => 2 * block,
            _ => (used / 5).max(block),
        };
        self.next = used + step;
        self.looked |= behind.is_some();
        self.previous = behind.map(|behind| (used, behind));
    }

    /// Dimension of the space at which to look at the residuals first.
    fn first(wanted: Wanted, space: Space) -> usize {
        match (wanted, space.eager) {
            (Wanted::Count(k), true) => k + space.block,
            (Wanted::Sum(_), true) => 2 * space.block,
            (Wanted::Count(k), false) => 2 * k + k / 2 + space.block,
            (Wanted::Sum(_), false) => 6 * space.block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_looked_at_when_they_may_be_small() {
        let space = Space {
            block: 16,
            largest: 640,
            restarts: 0,
            eager: false,
        };
        let mut checks = Checks::new(Wanted::Count(123), 1e-14, space);
        assert!(!checks.due(320) && checks.due(336));
        // By 12.2 in 213 dimensions so far.
        checks.plan(336, Some(20.0));
        assert_eq!(checks.next, 336 + 168);
        let mut checks = Checks::new(Wanted::Sum(1.0), 1e-14, space);
        assert!(!checks.due(95) && checks.due(96));
        checks.plan(336, None);
        assert_eq!(checks.next, 336 + 67);
        checks.plan(336, Some(20.0));
        assert_eq!(checks.next, 336 + 32);
        checks.plan(368, Some(16.0));
        assert_eq!(checks.next, 368 + 102);
        // No faster than a block, however near; no further than half as much again.
        checks.plan(480, Some(0.1));
        assert_eq!(checks.next, 496);
        checks.plan(496, Some(0.0999));
        assert_eq!(checks.next, 496 + 248);
        // Growing residuals say nothing.
        checks.plan(500, Some(5.0));
        assert_eq!(checks.next, 600);
    }
}
