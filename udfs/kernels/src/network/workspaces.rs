//! The memory that feature maps lie in while a network runs.

use std::sync::{MutexGuard, PoisonError};

use super::prepared::{Network, Workspace};
use crate::simd::Lanes;

impl Network {
    /// A workspace that nobody uses, or a new one.
    pub(super) fn workspace(&self) -> Workspace {
        let free = self.free().pop();
        let lines = |lines: &usize| vec![Lanes::ZERO; *lines];
        free.unwrap_or_else(|| self.slots.iter().map(lines).collect())
    }

    /// Keeps a workspace for the next call. A thread that waits for the others of its team may have taken up an
    /// image of another caller, with a workspace of its own; what that is more than callers need goes.
    pub(super) fn give_back(&self, workspace: Workspace) {
        let mut free = self.free();
        // As many callers are admitted, or as many images computed alone, at a time.
        if free.len() < rayon::current_num_threads().max(2) {
            free.push(workspace);
        }
    }

    pub(super) fn free(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
