//! Limits the memory of the whole process. The memory pools of queries do not count everything: a
//! single function call can make a text of gigabytes.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::output::print_message;
use crate::{resource_usage, scratch_folder};

/// What one query may allocate in its memory pool, bytes.
pub(crate) const QUERY_MEMORY: usize = 1 << 30;

/// What queries use beside their pools, bytes: decoded columns, cached views, results on their way
/// out.
const UNACCOUNTED_MEMORY: u64 = 1 << 30;

/// How often the memory is checked. A process allocates some tens of MB in that time.
const INTERVAL: Duration = Duration::from_millis(20);

/// What the process may use, bytes.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
static WATCHER: Once = Once::new();

/// Sets the limit to what the process uses now and what so many queries may use, but not more than
/// nine tenths of the machine's memory. Above it the process ends with a message and code 1.
pub(crate) fn raise_for_queries(queries: usize) {
    let Some(used) = resource_usage::anonymous_memory() else { return };
    LIMIT.store(limit(used, queries, resource_usage::machine_memory()), Ordering::Relaxed);
    WATCHER.call_once(|| {
        let watch = || loop {
            thread::sleep(INTERVAL);
            let limit = LIMIT.load(Ordering::Relaxed);
            if resource_usage::anonymous_memory().is_some_and(|used| used > limit) {
                exit_over_limit(limit);
            }
        };
        if let Err(error) = thread::Builder::new().name("memory".to_owned()).spawn(watch) {
            tracing::debug!(%error, "the memory of the process is not watched");
        }
    });
}

fn limit(used: u64, queries: usize, machine: Option<u64>) -> u64 {
    let wanted = used + queries as u64 * QUERY_MEMORY as u64 + UNACCOUNTED_MEMORY;
    machine.map_or(wanted, |all| wanted.min(all / 10 * 9))
}

/// Ends the process: a query can't be stopped in the middle of a function call.
fn exit_over_limit(limit: u64) -> ! {
    print_message(&format!(
        "rapport: stopped: a query needs more memory than the {:.1} GB that it may have; make fewer \
         or smaller values (repeat, range and array_agg make large ones), filter or group earlier, \
         or take fewer columns. Nothing in the lake has changed",
        limit as f64 / f64::from(1 << 30)
    ));
    scratch_folder::remove();
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_queries_need_or_the_machine_has() {
        const GIB: u64 = 1 << 30;
        assert_eq!(limit(GIB, 2, None), 4 * GIB);
        assert_eq!(limit(GIB, 2, Some(64 * GIB)), 4 * GIB);
        assert_eq!(limit(GIB, 64, Some(10 * GIB)), 9 * GIB);
    }
}
