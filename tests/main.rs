//! The compiled program, driven as its users drive it, against worlds whose truth is known.
//!
//! - `support`: the program in a project, simulated worlds, real servers
//! - `reference_metrics`: metrics recomputed in plain Rust, without SQL
//!
//! The program as a whole:
//!
//! - `demo`: `rapport demo` from events to a report, killed and run again
//! - `cli_contract`: exit codes, formats, table names and columns that scripts rely on
//! - `invalid_input`: wrong arguments, queries, configurations, keys and files
//! - `project_files`: `rapport.toml`, the CSV files and the policies, with a position for each
//!   error
//! - `doctor`: `rapport doctor`
//! - `documentation`: the pages agree with each other, with the files and with the program
//! - `first_run`: why a first run shows nothing, and which instant shows something
//! - `packaging`: what units, chart, package and dashboard say of the program
//! - `sql_shell`: `rapport sql` at a terminal, from files and through pipes
//! - `traces`: what an OpenTelemetry collector receives
//! - `terminal_escapes`: output for people holds no control characters
//! - `resource_limits`: memory and temporary files of a query
//! - `shutdown`: what a command finishes before it ends
//! - `run_every`: `rapport run --every`
//! - `read_only_user`: somebody who may read a lake and not write it
//!
//! Ingest:
//!
//! - `event_contracts`: the fields of each stream, as printed, documented and enforced
//! - `record_encodings`: JSON, CloudEvents and Avro on one topic
//! - `file_loading`: files that are loaded again, have grown, or are loaded by several processes;
//!   folders, pipes, compression, and what a rejected file looks like
//! - `mappings`: records in other formats, by recipes and by a project's own programs
//! - `arrival_order`: the order and the repetition of events change no metric
//! - `consumer_group`: workers of a consumer group
//! - `crash_recovery`: workers and brokers that are killed
//! - `fault_injection`: many kinds of fault at random, with every record accounted for
//! - `kafka_authentication`: SASL, TLS and client certificates
//! - `secrets_in_events`: secrets in records reach no file and no log
//! - `secrets_in_messages`: secrets of the configuration stand in no message
//!
//! The lake:
//!
//! - `s3_lake`: a lake in a bucket
//! - `lake_maintenance`: compaction and retention beside workers and readers
//! - `erasure`: a partner is erased from every file
//! - `damaged_lake`: damaged files are found, and never answered from
//! - `lake_upgrade`: lakes of older formats
//! - `lake_backup`: a lake copied while it is written, and restored
//! - `other_delta_readers`: deltalake and DuckDB read the same rows
//! - `cluster`: rollups refreshed and days compacted on executors, which die; in builds with the feature
//!   `cluster`
//!
//! Metrics and what is made of them:
//!
//! - `metrics_against_reference`: metrics equal their recomputation
//! - `query_files`: a project's own queries and their test cases
//! - `query_diagnostics`: what `metrics check` reports, with its position
//! - `metrics_plan`, `metrics_diff`, `metrics_watch`: the commands of these names
//! - `metric_slices`, `where_conditions`: `--where` and `--by`
//! - `data_checks`, `held_back_metrics`: what is not published, and what goes on without it
//! - `action_plans`: plans applied, interrupted, stopped and taken back
//! - `action_safety`: mistakes in policies, data and plans hurt nobody
//! - `action_grants`: raises that end by themselves, rollbacks, and the usage that stops both
//! - `action_clock`: clocks that differ, receivers that are down for a day, conditions that flicker
//! - `action_topic`: actions on a real broker
//! - `alerts`: what people are told of, once, and that it is over
//! - `deliveries`: reports by mail and chat, once a period
//! - `served_pages`: the pages of `rapport serve`, over a lake
//! - `served_grain`: charts of the served pages by day, week and month
//! - `served_in_browser`: the same pages in a browser
//! - `openid_sign_in`: signing in to them at an OpenID provider
//! - `bi_tools`: clients of PostgreSQL, with the feature `postgres`
//! - `bi_tool_refusals`: what nobody may do there, and bytes that are no messages
//! - `score_backtest`: history replayed, weights and a risk model fitted and adopted
//! - `score_explained`: what the explanation of a score says, against SQL
//! - `score_records`: overrides, judgements, notes and annotations
//! - `scores`: scores, signals and plans
//! - `score_tiers`: partners that collapse are seen in time, calm ones stay healthy
//! - `report_folder`, `report_sentences`: the report's files, and its figures against SQL
//!
//! `RAPPORT_LARGE=1` runs the demo's test with 2,000 partners and 5,000,000 events, and compares
//! the figures in a report of 20,000 partners with SQL.

mod action_clock;
mod action_grants;
mod action_plans;
mod action_safety;
mod action_topic;
mod alerts;
mod arrival_order;
#[cfg(feature = "postgres")]
mod bi_tool_refusals;
#[cfg(feature = "postgres")]
mod bi_tools;
mod cli_contract;
#[cfg(feature = "cluster")]
mod cluster;
mod consumer_group;
mod crash_recovery;
mod damaged_lake;
mod data_checks;
mod deliveries;
mod demo;
mod doctor;
mod documentation;
mod erasure;
mod event_contracts;
mod fault_injection;
mod file_loading;
mod first_run;
mod held_back_metrics;
mod invalid_input;
mod kafka_authentication;
mod lake_backup;
mod lake_maintenance;
mod lake_upgrade;
mod mappings;
mod metric_slices;
mod metrics_against_reference;
mod metrics_diff;
mod metrics_plan;
mod metrics_watch;
mod openid_sign_in;
mod other_delta_readers;
mod packaging;
mod project_files;
mod query_diagnostics;
mod query_files;
mod read_only_user;
mod record_encodings;
mod reference_metrics;
mod report_folder;
mod report_sentences;
mod resource_limits;
mod run_every;
mod s3_lake;
mod score_backtest;
mod score_explained;
mod score_records;
mod score_tiers;
mod scores;
mod secrets_in_events;
mod secrets_in_messages;
mod served_grain;
mod served_in_browser;
mod served_pages;
mod shutdown;
mod sql_shell;
mod support;
mod terminal_escapes;
mod traces;
mod where_conditions;
