//! Stops this process where a test wants it: `RAPPORT_FAULT="entry put:raw/api_calls@3=FILE"`.
//!
//! At the third pass of the point (of the first, without `@`) the file appears, and the process
//! stands still until it is gone: the test kills the process meanwhile, lets another worker move
//! on, or lets it go. Without `:` the point is meant whatever it concerns. Compiled into builds
//! with debug assertions alone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

struct Stop {
    name: String,
    of: Option<String>,
    passes: AtomicU32,
    file: PathBuf,
}

/// Reads `RAPPORT_FAULT`.
pub(crate) fn arm() {
    let Ok(wanted) = std::env::var("RAPPORT_FAULT") else { return };
    let stop = parse(&wanted).unwrap_or_else(|| panic!("RAPPORT_FAULT={wanted}"));
    lake::fault::on_point(move |name, of| {
        let meant = stop.name == name && stop.of.as_ref().is_none_or(|wanted| wanted == of);
        if meant && stop.passes.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::fs::write(&stop.file, name).expect("the file of RAPPORT_FAULT");
            while stop.file.exists() {
                std::thread::park_timeout(Duration::from_millis(2));
            }
        }
    });
}

fn parse(wanted: &str) -> Option<Stop> {
    let (point, file) = wanted.split_once('=')?;
    let (point, passes) = match point.split_once('@') {
        Some((point, passes)) => (point, passes.parse().ok()?),
        None => (point, 1),
    };
    let (name, of) = match point.split_once(':') {
        Some((name, of)) => (name, Some(of.to_owned())),
        None => (point, None),
    };
    Some(Stop { name: name.to_owned(), of, passes: AtomicU32::new(passes), file: file.into() })
}
