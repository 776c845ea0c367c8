//! A process that ends with whoever started it, or after some time.

use std::io;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often the process is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// A process that is killed when it is no longer needed.
pub struct LimitedProcess {
    child: Child,
    begun: Instant,
    limit: Duration,
}

/// Why the wait for a process is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It ended by itself.
    Exited(ExitStatus),
    /// It ran too long.
    TimedOut,
    /// The caller needs no more of it.
    Enough,
}

impl LimitedProcess {
    /// Starts a program, which may run for so long.
    ///
    /// # Errors
    /// Fails when the program can't be started.
    pub fn spawn(command: &mut Command, limit: Duration) -> io::Result<Self> {
        Ok(Self { child: command.spawn()?, begun: Instant::now(), limit })
    }

    /// Returns what the process writes, once, where a pipe was made for it.
    pub fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until the process ends, its time is over, or the caller has enough. It is killed when this
    /// value is dropped.
    ///
    /// # Errors
    /// Fails when the system can't tell of the process.
    pub fn wait(&mut self, is_enough: impl Fn() -> bool) -> io::Result<ProcessEnd> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(ProcessEnd::Exited(status));
            }
            if is_enough() {
                return Ok(ProcessEnd::Enough);
            }
            if self.begun.elapsed() > self.limit {
                return Ok(ProcessEnd::TimedOut);
            }
            thread::sleep(INTERVAL);
        }
    }
}

impl Drop for LimitedProcess {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_by_itself_or_is_given_up() {
        let shell = |script: &str, limit: Duration| {
            LimitedProcess::spawn(Command::new("sh").args(["-c", script]), limit).expect("a shell")
        };
        let long = Duration::from_secs(60);
        let end = shell("exit 3", long).wait(|| false).expect("an end");
        assert!(matches!(end, ProcessEnd::Exited(status) if status.code() == Some(3)), "{end:?}");
        let mut slow = shell("exec sleep 60", Duration::ZERO);
        assert_eq!(slow.wait(|| false).expect("an end"), ProcessEnd::TimedOut);
        assert_eq!(shell("exec sleep 60", long).wait(|| true).expect("an end"), ProcessEnd::Enough);
        // A process that was given up no longer runs.
        let id = slow.child.id();
        drop(slow);
        let found = Command::new("sh").args(["-c", &format!("kill -0 {id} 2>&1")]).output();
        assert!(!found.expect("a shell").status.success());
    }
}
