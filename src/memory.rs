//! A bound on the memory of the whole process: what queries hold outside of their own account (a
//! text of gigabytes that one call makes) is nobody else's to refuse.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::output::message;
use crate::project::MEMORY;
use crate::{process, scratch};

/// Beside what queries account for: decoded columns, views that are kept, results on their way out.
const BESIDE: u64 = 1 << 30;

/// Looked at so often; a process fills some tens of MB in that time.
const EVERY: Duration = Duration::from_millis(20);

/// What the process may hold, bytes.
static MOST: AtomicU64 = AtomicU64::new(u64::MAX);
static WATCHED: Once = Once::new();

/// From now on the process may hold what it holds and what so many queries may: more than that, or
/// than nearly all of the machine's memory, ends it with a message and code 1.
pub(crate) fn allow(queries: usize) {
    let Some(held) = process::memory() else { return };
    MOST.store(most(held, queries, process::machine_memory()), Ordering::Relaxed);
    WATCHED.call_once(|| {
        let watch = || loop {
            thread::sleep(EVERY);
            let most = MOST.load(Ordering::Relaxed);
            if process::memory().is_some_and(|held| held > most) {
                end(most);
            }
        };
        if let Err(error) = thread::Builder::new().name("memory".to_owned()).spawn(watch) {
            tracing::debug!(%error, "the memory of the process is not watched");
        }
    });
}

fn most(held: u64, queries: usize, machine: Option<u64>) -> u64 {
    let asked = held + queries as u64 * MEMORY as u64 + BESIDE;
    machine.map_or(asked, |all| asked.min(all / 10 * 9))
}

/// A query in the middle of one call can't be stopped by itself.
fn end(most: u64) -> ! {
    message(&format!(
        "rapport: stopped: a query needs more memory than the {:.1} GB that it may have; make fewer \
         or smaller values (repeat, range and array_agg make large ones), filter or group earlier, \
         or take fewer columns. Nothing in the lake has changed",
        most as f64 / f64::from(1 << 30)
    ));
    scratch::remove();
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_what_queries_may_hold_or_the_machine_has() {
        const GIB: u64 = 1 << 30;
        assert_eq!(most(GIB, 2, None), 4 * GIB);
        assert_eq!(most(GIB, 2, Some(64 * GIB)), 4 * GIB);
        assert_eq!(most(GIB, 64, Some(10 * GIB)), 9 * GIB);
    }
}
