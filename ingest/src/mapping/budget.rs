//! The limits of a run of a program: how many steps it may take, and how deep it may recurse.
//!
//! jaq looks up every term of a program before it evaluates it, so the look-up counts the steps. A
//! program over a limit is stopped by unwinding, because its functions have no other way out.

use std::cell::Cell;
use std::panic::resume_unwind;

/// The greatest number of terms that a program may evaluate for one record, some hundredths of a
/// second. It also bounds how deep a program can nest a value: about a third of this, for which jaq
/// needs a kilobyte of stack a level when it writes or drops the value.
pub(super) const MAX_STEPS: u64 = 500_000;
/// The stack that a program may use by recursion, in bytes.
const MAX_RECURSION_BYTES: usize = 4 << 20;
/// The stack that a run has at least. Writing and dropping a deeply nested value recurse without
/// steps, so that a run has far more than its program may use. Only what is used takes memory.
const RED_ZONE_BYTES: usize = 220 << 20;
const STACK_BYTES: usize = 256 << 20;

/// The limit that a program has gone over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Steps,
    Recursion,
}

/// What is left to a run.
pub(super) struct Budget {
    steps: Cell<u64>,
    /// The stack that remains at the deepest point allowed.
    least_stack: usize,
}

impl Budget {
    /// Begins a run, on a stack with room for it.
    pub(super) fn new() -> Self {
        let remaining = stacker::remaining_stack().unwrap_or(0);
        let least_stack = remaining.saturating_sub(MAX_RECURSION_BYTES);
        Self { steps: Cell::new(MAX_STEPS), least_stack }
    }

    /// Takes a step. Unwinds with a [`Limit`] when the run is over one.
    pub(super) fn step(&self) {
        let left = self.steps.get();
        if left == 0 {
            resume_unwind(Box::new(Limit::Steps));
        }
        self.steps.set(left - 1);
        if stacker::remaining_stack().is_some_and(|remaining| remaining < self.least_stack) {
            resume_unwind(Box::new(Limit::Recursion));
        }
    }
}

/// Awaits a future that runs many records in a row, on a stack with room for them.
pub(crate) async fn poll_with_room<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| with_room(|| future.as_mut().poll(cx))).await
}

/// Calls a function on a stack with room for a run. A caller that runs many records in a row makes
/// the room once, around them all.
pub(crate) fn with_room<R>(run: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RED_ZONE_BYTES, STACK_BYTES, run)
}
