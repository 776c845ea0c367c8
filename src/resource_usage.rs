//! The resources of this process and its machine: CPU time, memory, ignored signals, host name.

use std::time::Duration;

use anyhow::Context;

/// Returns the CPU time of all threads so far, user and system time together.
#[cfg(unix)]
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).context("the process's CPU clock")
}

#[cfg(not(unix))]
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    anyhow::bail!("{NEEDS_LINUX}")
}

/// Why nothing can be measured on other systems.
const NEEDS_LINUX: &str = "measuring needs Linux with /proc";

/// Returns the peak of the resident memory since [`reset_peak_memory`], bytes.
pub(crate) fn peak_memory() -> anyhow::Result<u64> {
    proc_fs::peak_memory().context(NEEDS_LINUX)
}

/// Starts a new peak. Where the system does not allow it, the peak stays that of the whole run.
pub(crate) fn reset_peak_memory() {
    if let Err(error) = proc_fs::reset_peak_memory() {
        tracing::debug!(%error, "the peak of the memory stays that of the whole run");
    }
}

/// Returns the anonymous memory of the process, without the files that it maps, bytes; `None` where
/// the system does not provide it.
pub(crate) fn anonymous_memory() -> Option<u64> {
    proc_fs::anonymous_memory()
}

/// Returns the memory of the machine, or of the container where that is less, bytes.
pub(crate) fn machine_memory() -> Option<u64> {
    // The limit of cgroup v2; `max` means none.
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    proc_fs::machine_memory().into_iter().chain(container).min()
}

/// Returns whether the process ignores a signal, as one under nohup ignores SIGHUP.
#[cfg(unix)]
pub(crate) fn ignores_signal(signal: i32) -> bool {
    let ignored = proc_fs::ignored_signals().unwrap_or_default();
    (1..=64).contains(&signal) && ignored & (1 << (signal - 1)) != 0
}

/// Returns the name of this machine; empty where the system has none.
#[cfg(unix)]
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().trim().to_owned()
}

#[cfg(not(unix))]
pub(crate) fn host_name() -> String {
    String::new()
}

/// Reads `/proc` of Linux.
#[cfg(target_os = "linux")]
mod proc_fs {
    use procfs::process::{ClearRefs, Process, Status};
    use procfs::{Current, Meminfo, ProcResult};

    fn status() -> ProcResult<Status> {
        Process::myself()?.status()
    }

    pub(super) fn peak_memory() -> anyhow::Result<u64> {
        let kibibytes = status()?.vmhwm;
        kibibytes.map(|k| k << 10).ok_or_else(|| anyhow::anyhow!("/proc/self/status has no VmHWM"))
    }

    pub(super) fn reset_peak_memory() -> ProcResult<()> {
        Process::myself()?.clear_refs(ClearRefs::PeakRSS)
    }

    pub(super) fn anonymous_memory() -> Option<u64> {
        // `statm` is shorter than `status`, and this is read many times a second.
        let pages = Process::myself().ok()?.statm().ok()?;
        Some(pages.resident.saturating_sub(pages.shared) * procfs::page_size())
    }

    pub(super) fn machine_memory() -> Option<u64> {
        Meminfo::current().ok().map(|info| info.mem_total)
    }

    pub(super) fn ignored_signals() -> Option<u64> {
        status().ok().map(|status| status.sigign)
    }
}

/// Other systems have no `/proc`.
#[cfg(not(target_os = "linux"))]
mod proc_fs {
    pub(super) fn peak_memory() -> anyhow::Result<u64> {
        anyhow::bail!("this system has no /proc")
    }

    pub(super) fn reset_peak_memory() -> anyhow::Result<()> {
        anyhow::bail!("this system has no /proc")
    }

    pub(super) fn anonymous_memory() -> Option<u64> {
        None
    }

    pub(super) fn machine_memory() -> Option<u64> {
        None
    }

    #[cfg(unix)]
    pub(super) fn ignored_signals() -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_peak_grow_with_work() {
        let began = cpu_time().expect("a CPU time");
        let mut text = String::new();
        while cpu_time().expect("a CPU time") < began + Duration::from_millis(20) {
            text.push_str("work");
        }
        assert!(peak_memory().expect("a peak") > text.len() as u64);
        reset_peak_memory();
    }

    #[test]
    fn memory_in_use_counts_what_is_allocated() {
        let before = anonymous_memory().expect("an amount");
        let filled = vec![1_u8; 64 << 20];
        let after = anonymous_memory().expect("an amount");
        assert!(after >= before + (48 << 20), "{before} and {after} with {}", filled.len());
        assert!(machine_memory().expect("an amount") > after);
        assert!(!ignores_signal(11));
    }

    #[test]
    fn the_host_has_a_name() {
        assert!(!host_name().is_empty());
    }
}
