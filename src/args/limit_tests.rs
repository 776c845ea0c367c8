//! `--limit` means the same everywhere.

use clap::{CommandFactory, Parser};

use super::{Arguments, parse_limit};

/// Counts the options `--limit` of a command and of all below it. Their help says what 0 is.
fn count_limits(command: &clap::Command) -> usize {
    let mut count = 0;
    for argument in command.get_arguments().filter(|found| found.get_long() == Some("limit")) {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("0 is all"), "{}: {help}", command.get_name());
        count += 1;
    }
    count + command.get_subcommands().map(count_limits).sum::<usize>()
}

#[test]
fn a_limit_of_0_is_all_of_them() {
    assert_eq!((parse_limit("0"), parse_limit("7")), (Ok(usize::MAX), Ok(7)));
    assert!(parse_limit("-1").is_err() && parse_limit("many").is_err());
    let calls = [
        "actions log",
        "deliver log",
        "ingest dead-letters",
        "ingest try --stream api-calls calls.ndjson",
        "metrics preview funnel",
        "score movers",
    ];
    for call in calls {
        for (limit, is_taken) in [("0", true), ("3", true), ("-1", false), ("x", false)] {
            let words = ["rapport"].into_iter().chain(call.split(' '));
            let given = format!("--limit={limit}");
            let words = words.chain([given.as_str()]);
            assert_eq!(Arguments::try_parse_from(words).is_ok(), is_taken, "{call} {given}");
        }
    }
    assert_eq!(count_limits(&Arguments::command()), calls.len(), "a command is missing above");
}
