//! What this process uses and has used: CPU time and memory, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A tick of /proc's CPU times: Linux tells programs of 100 a second, whatever it counts itself.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of all threads so far, the system's on their behalf included.
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    let text = read("/proc/self/stat")?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat is not what it was")?;
    // The 14th and 15th field of all: user and system.
    let ticks: Option<u32> =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().ok()).sum();
    Ok(TICK * ticks.context("/proc/self/stat has no CPU times")?)
}

/// The most memory that was resident since [`forget_peak`], bytes.
pub(crate) fn peak_memory() -> anyhow::Result<u64> {
    let text = read("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes << 10).context("/proc/self/status has no VmHWM")
}

/// Begins the peak anew. Where that is not allowed it stays that of the whole run.
pub(crate) fn forget_peak() {
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        tracing::debug!(%error, "the peak of the memory stays that of the whole run");
    }
}

/// The memory that is the process's own now, without the files that it maps, bytes; `None` where
/// the system does not say.
pub(crate) fn memory() -> Option<u64> {
    kilobytes("/proc/self/status", "RssAnon:")
}

/// What memory the machine has, or the container that the process runs in.
pub(crate) fn machine_memory() -> Option<u64> {
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    let all = kilobytes("/proc/meminfo", "MemTotal:");
    all.into_iter().chain(container).min()
}

/// Whether the process ignores a signal, as one under nohup ignores SIGHUP.
#[cfg(unix)]
pub(crate) fn ignores(signal: i32) -> bool {
    let Ok(text) = fs::read_to_string("/proc/self/status") else { return false };
    let line = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0);
    (1..=64).contains(&signal) && ignored & (1 << (signal - 1)) != 0
}

/// A figure of a file of /proc, as bytes.
fn kilobytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("{path} can't be read; measuring needs Linux with /proc"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_told() {
        let began = cpu_time().expect("a CPU time");
        let mut text = String::new();
        // Some work, until it shows.
        while cpu_time().expect("a CPU time") < began + TICK * 2 {
            text.push_str("work");
        }
        assert!(peak_memory().expect("a peak") > text.len() as u64);
        forget_peak();
    }

    #[test]
    fn what_is_used_is_told() {
        let before = memory().expect("an amount");
        let filled = vec![1_u8; 64 << 20];
        let after = memory().expect("an amount");
        assert!(after >= before + (48 << 20), "{before} and {after} with {}", filled.len());
        assert!(machine_memory().expect("an amount") > after);
        assert!(!ignores(11));
    }
}
