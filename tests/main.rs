//! The compiled program, driven as its users drive it, against worlds whose truth is known.
//!
//! Reading order: `program` (runs it in a project of its own), `simulated` (worlds and their
//! truth), `reference` (metrics recomputed in plain Rust), `kafka` (a real broker), `registry` (a
//! real Schema Registry), `bucket` (a real server that speaks S3); then the tests, a file a promise: `demo`, `metrics`, `pieces`, `contract`, `contracts`,
//! `bad_input`, `crash`, `group`, `faults`, `files`, `formats`, `secure`,
//! `secrets`, `readers`, `shell`, `care`, `damage`, `erasure`, `upkeep`, `s3`, `checks`, `diff`, `slices`,
//! `plan`, `ten_mistakes`, `watch`, `held_back`, `conditions`, `query_files`, `ending`, `pages`,
//! `sentences`, `scores`, `project_files`, `discretion`, `terminal`, `bounds`, `reader`.
//!
//! `RAPPORT_LARGE=1` runs the demo's test with 2,000 partners and 5,000,000 events, and holds the
//! sentences of a report of 20,000 partners against the lake.

mod bad_input;
mod bounds;
mod bucket;
mod care;
mod checks;
mod conditions;
mod contract;
mod contracts;
mod crash;
mod damage;
mod demo;
mod diff;
mod discretion;
mod ending;
mod erasure;
mod faults;
mod files;
mod formats;
mod group;
mod held_back;
mod kafka;
mod metrics;
mod pages;
mod pieces;
mod plan;
mod program;
mod project_files;
mod query_files;
mod reader;
mod readers;
mod reference;
mod registry;
mod s3;
mod scores;
mod secrets;
mod secure;
mod sentences;
mod shell;
mod simulated;
mod slices;
mod ten_mistakes;
mod terminal;
mod upkeep;
mod watch;
