//! Lines with a backslash: what the shell does besides running SQL.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::args::Format;
use crate::failure::usage;

/// Every command with what it does, as `\?` lists them.
pub(super) const COMMANDS: [(&str, &str); 11] = [
    ("\\d", "tables, views, metrics and rollups"),
    ("\\d NAME", "the columns of one, with types, units and what they mean"),
    ("\\df", "the functions of Rapport"),
    ("\\as_of T", "look up to another UTC midnight"),
    ("\\at RUN|TIME|newest", "read the tables as a run of before read them, or the newest"),
    ("\\format table|csv|json|parquet", "how rows are written"),
    ("\\o FILE", "write to a file from now on; without FILE to standard output again"),
    ("\\i FILE", "run the statements of a file"),
    ("\\timing on|off", "rows and time of every statement, on standard error"),
    ("\\?", "this list"),
    ("\\q", "leave, as Ctrl-D does"),
];

/// A command that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    List,
    Describe(String),
    Functions,
    AsOf(String),
    At(String),
    Format(Format),
    Out(Option<PathBuf>),
    Include(PathBuf),
    Timing(bool),
    Help,
    Quit,
}

impl Command {
    /// Reads a line, without its backslash.
    pub(super) fn parse(line: &str) -> anyhow::Result<Self> {
        // Nobody is to stumble over the habit of ending everything with it.
        let line = line.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let given = || (!rest.is_empty()).then(|| rest.to_owned());
        let due = |what: &str| given().ok_or_else(|| usage(format!("\\{name}: give {what}")));
        Ok(match name {
            "d" => given().map_or(Self::List, Self::Describe),
            "df" => Self::Functions,
            "as_of" => Self::AsOf(due("a UTC midnight, such as 2026-01-31")?),
            "at" => Self::At(due("a run, an instant, or newest")?),
            "format" => {
                Self::Format(Format::from_str(&due("table, csv, json or parquet")?, true).map_err(
                    |_| usage(format!("\\format: {rest} is none of table, csv, json, parquet")),
                )?)
            }
            "o" => Self::Out(given().map(PathBuf::from)),
            "i" => Self::Include(due("a file")?.into()),
            "timing" => Self::Timing(match rest {
                "on" => true,
                "off" => false,
                _ => return Err(usage("\\timing: give on or off")),
            }),
            "?" | "h" | "help" => Self::Help,
            "q" | "quit" => Self::Quit,
            _ => return Err(usage(format!("\\{name} is no command; \\? lists them"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let check = |line: &str, expected: Command| {
            assert_eq!(Command::parse(line).expect(line), expected, "{line}");
        };
        check("d", Command::List);
        check("d raw.api_calls;", Command::Describe("raw.api_calls".to_owned()));
        check("format  CSV", Command::Format(Format::Csv));
        check("o", Command::Out(None));
        check("o my file.csv", Command::Out(Some("my file.csv".into())));
        check("timing off ", Command::Timing(false));
        check("?", Command::Help);
        for (line, words) in [
            ("dt", "\\dt is no command; \\? lists them"),
            ("format xml", "xml is none of table"),
            ("timing", "give on or off"),
            ("as_of", "give a UTC midnight"),
            ("i", "give a file"),
        ] {
            let error = Command::parse(line).expect_err(line).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn every_command_of_the_list_is_one() {
        for (usage, _) in COMMANDS {
            let line = usage.trim_start_matches('\\').split('|').next().unwrap_or_default();
            Command::parse(line).expect(usage);
        }
    }
}
