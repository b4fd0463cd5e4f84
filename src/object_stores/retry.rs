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
        if self.made == MOST {
            return false;
        }
        tokio::time::sleep(FIRST_PAUSE * (1 << self.made)).await;
        self.made += 1;
        true
    }

    /// Repetitions so far.
    pub(crate) fn made(&self) -> usize {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_after_ever_longer_pauses() {
        let started = tokio::time::Instant::now();
        let mut retries = Retries::default();
        while retries.again().await {}
        assert_eq!(retries.made(), MOST);
        assert_eq!(started.elapsed().as_millis(), 100 + 200 + 400 + 800);
    }
}
