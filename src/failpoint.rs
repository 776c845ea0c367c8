//! Stops the process at a failpoint for a test: `RAPPORT_FAULT="entry put:raw/api_calls@3=FILE"`.
//!
//! When the process passes the point for the third time (without `@`, for the first), it creates
//! the file and waits until somebody removes it. Meanwhile the test kills the process, lets another
//! worker go on, or removes the file. Without `:` the point stops for every subject. The module
//! exists only in builds with debug assertions.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

struct Failpoint {
    name: String,
    /// What it must concern, such as a table; `None` is anything.
    subject: Option<String>,
    /// The passes that are left until it stops.
    passes: AtomicU32,
    file: PathBuf,
}

/// Installs the failpoint that `RAPPORT_FAULT` names.
pub(crate) fn arm() {
    let Ok(wanted) = std::env::var("RAPPORT_FAULT") else { return };
    let failpoint = parse(&wanted).unwrap_or_else(|| panic!("RAPPORT_FAULT={wanted}"));
    lake::failpoint::set_hook(move |name, subject| {
        let is_reached = failpoint.name == name
            && failpoint.subject.as_ref().is_none_or(|wanted| wanted == subject);
        if is_reached && failpoint.passes.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::fs::write(&failpoint.file, name).expect("the file of RAPPORT_FAULT");
            while failpoint.file.exists() {
                std::thread::park_timeout(Duration::from_millis(2));
            }
        }
    });
}

fn parse(wanted: &str) -> Option<Failpoint> {
    let (point, file) = wanted.split_once('=')?;
    let (point, passes) = match point.split_once('@') {
        Some((point, passes)) => (point, passes.parse().ok()?),
        None => (point, 1),
    };
    let (name, subject) = match point.split_once(':') {
        Some((name, subject)) => (name, Some(subject.to_owned())),
        None => (point, None),
    };
    Some(Failpoint {
        name: name.to_owned(),
        subject,
        passes: AtomicU32::new(passes),
        file: file.into(),
    })
}
