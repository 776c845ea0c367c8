//! Meta-commands of the shell: lines that start with a backslash, as in psql.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::args::Format;
use crate::errors::usage_error;

/// Every meta-command and what it does, as `\?` lists them.
pub(super) const META_COMMANDS: [(&str, &str); 11] = [
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

/// A parsed meta-command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MetaCommand {
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

impl MetaCommand {
    /// Parses a line without its backslash.
    pub(super) fn parse(line: &str) -> anyhow::Result<Self> {
        // People who write SQL end lines with a semicolon.
        let line = line.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let given = || (!rest.is_empty()).then(|| rest.to_owned());
        let required =
            |what: &str| given().ok_or_else(|| usage_error(format!("\\{name}: give {what}")));
        Ok(match name {
            "d" => given().map_or(Self::List, Self::Describe),
            "df" => Self::Functions,
            "as_of" => Self::AsOf(required("a UTC midnight, such as 2026-01-31")?),
            "at" => Self::At(required("a run, an instant, or newest")?),
            "format" => Self::Format(
                Format::from_str(&required("table, csv, json or parquet")?, true).map_err(
                    |_| {
                        usage_error(format!(
                            "\\format: {rest} is none of table, csv, json, parquet"
                        ))
                    },
                )?,
            ),
            "o" => Self::Out(given().map(PathBuf::from)),
            "i" => Self::Include(required("a file")?.into()),
            "timing" => Self::Timing(match rest {
                "on" => true,
                "off" => false,
                _ => return Err(usage_error("\\timing: give on or off")),
            }),
            "?" | "h" | "help" => Self::Help,
            "q" | "quit" => Self::Quit,
            _ => return Err(usage_error(format!("\\{name} is no command; \\? lists them"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let check = |line: &str, expected: MetaCommand| {
            assert_eq!(MetaCommand::parse(line).expect(line), expected, "{line}");
        };
        check("d", MetaCommand::List);
        check("d raw.api_calls;", MetaCommand::Describe("raw.api_calls".to_owned()));
        check("format  CSV", MetaCommand::Format(Format::Csv));
        check("o", MetaCommand::Out(None));
        check("o my file.csv", MetaCommand::Out(Some("my file.csv".into())));
        check("timing off ", MetaCommand::Timing(false));
        check("?", MetaCommand::Help);
        for (line, words) in [
            ("dt", "\\dt is no command; \\? lists them"),
            ("format xml", "xml is none of table"),
            ("timing", "give on or off"),
            ("as_of", "give a UTC midnight"),
            ("i", "give a file"),
        ] {
            let error = MetaCommand::parse(line).expect_err(line).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn every_listed_command_is_parsed() {
        for (syntax, _) in META_COMMANDS {
            let line = syntax.trim_start_matches('\\').split('|').next().unwrap_or_default();
            MetaCommand::parse(line).expect(syntax);
        }
    }
}
