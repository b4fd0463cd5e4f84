//! Trying again what a store does not try again by itself.

use std::time::Duration;

/// How often an operation is repeated, at most.
const MOST: usize = 4;

/// The pause before the first repetition; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Counts repetitions and puts ever longer pauses before them.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    made: usize,
}

impl Retries {
    /// Waits for its turn and returns true, or false if the operation has had its chances.
    pub(crate) async fn again(&mut self) -> bool {
        let Some(pause) = self.next_pause() else {
            return false;
        };
        tokio::time::sleep(pause).await;
        true
    }

    fn next_pause(&mut self) -> Option<Duration> {
        let pause = (self.made < MOST).then(|| FIRST_PAUSE * (1 << self.made))?;
        self.made += 1;
        Some(pause)
    }

    /// Repetitions so far.
    pub(crate) fn made(&self) -> usize {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_after_ever_longer_pauses() {
        let mut retries = Retries::default();
        let pauses: Vec<u128> = std::iter::from_fn(|| retries.next_pause())
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800]);
        assert_eq!(retries.made(), MOST);
    }
}
