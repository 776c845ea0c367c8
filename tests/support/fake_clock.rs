//! Another time for the program, by libfaketime: days pass within a test, and clocks are wrong, and the
//! program needs no setting for it.

use std::process::Command;
use std::sync::OnceLock;

/// Lets a command see a clock that is so many seconds ahead of the real one, or behind it.
pub(crate) fn move_clock(command: &mut Command, seconds: i64) {
    command.env("LD_PRELOAD", library()).env("FAKETIME", format!("{seconds:+}"));
    // Waits and timeouts take as long as ever.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    // The times of files stay the real ones, however the program asks for them.
    command.env("NO_FAKE_STAT", "1");
}

/// Returns the library, as the command `faketime` finds it.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let printed =
            Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let text = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.ok().filter(|text| !text.is_empty()).expect(
            "This test moves the clock of the program and needs the command `faketime`: \
             apt-get install faketime",
        )
    })
}
