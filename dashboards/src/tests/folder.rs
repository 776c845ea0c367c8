//! The report as it is written to a folder.

use std::path::PathBuf;

use crate::sample::programme;
use crate::{ReportInput, pages, write_report};

/// Leaves the report in the build folder for viewing: `target/sample-report/index.html`.
#[test]
fn a_report_is_written() {
    let out = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report"));
    // A folder that an older version of the program wrote has no marker.
    for name in ["", "-empty", "-first"] {
        let _ = std::fs::remove_dir_all(format!("{}{name}", out.display()));
    }
    let input = programme(450, 120);
    let summary = write_report(&input, &out).expect("a written report");
    assert_eq!(summary.index, out.join("index.html"));
    let expected = pages(&input);
    assert_eq!(summary.pages, expected.len());
    for (path, html) in expected {
        let written = std::fs::read_to_string(out.join(&path)).expect("a page");
        assert!(written == html, "{path} is another page in the folder");
    }
    assert!(out.join("data/growth.csv").exists() && out.join("style.css").exists());
    let stale = out.join("partners/gone.html");
    std::fs::write(&stale, "of a partner that was erased").expect("a page");
    let again = write_report(&input, &out).expect("written over");
    assert_eq!(again, summary);
    assert!(!stale.exists(), "a page that no longer belongs stays");
    let empty =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-empty"));
    let none = ReportInput {
        currency: "USD".to_owned(),
        as_of: input.as_of,
        rapport_version: "0.1.0".to_owned(),
        ..ReportInput::default()
    };
    write_report(&none, &empty).expect("an empty report");
    let first =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sample-report-first"));
    write_report(&programme(60, 1), &first).expect("a report of the first day scored");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/report"));
    let error = write_report(&ReportInput::default(), &file).expect_err("a file is in the way");
    assert!(error.to_string().starts_with("cannot make "), "{error}");
}
