//! Every command that `--help` or a page prints can be called as it stands there.

use std::path::Path;

use clap::{CommandFactory, Parser};

use super::Arguments;

/// Returns the calls of the program in a line of a shell, each as words. What follows a pipe, a
/// redirection or `&&` is no part of a call, nor is what stands apart on the right; the output of a
/// command is a file.
fn calls(line: &str) -> Vec<Vec<String>> {
    let call = line.split_once("  ").map_or(line, |(call, _)| call);
    let call = match (call.find("<("), call.rfind(')')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}FILE{}", &call[..start], &call[end + 1..])
        }
        _ => call.to_owned(),
    };
    let words = shell_words::split(&call).unwrap_or_default();
    let ends =
        |word: &String| matches!(word.as_str(), "|" | "&&" | "||" | ";" | "&" | ">" | ">>" | "<");
    let commands = words.split(ends).filter(|words| {
        words
            .first()
            .is_some_and(|first| matches!(first.as_str(), "rapport" | "target/release/rapport"))
    });
    commands.map(<[String]>::to_vec).collect()
}

/// Returns the lines of a text, those that end with a backslash joined with the next one.
fn joined_lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line.trim_end(), true),
            None => (line, false),
        };
        let last = lines.last_mut().expect("a line");
        last.push_str(line);
        match goes_on {
            true => last.push(' '),
            false => lines.push(String::new()),
        }
    }
    lines
}

/// Adds the examples of a command and of all commands below it.
fn add_examples(command: &clap::Command, found: &mut Vec<(String, Vec<String>)>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in joined_lines(&help) {
        let calls = calls(&line).into_iter();
        found.extend(calls.map(|call| (format!("{} --help", command.get_name()), call)));
    }
    for below in command.get_subcommands() {
        add_examples(below, found);
    }
}

/// Adds the commands in the blocks of shell of a page.
fn add_page(path: &Path, found: &mut Vec<(String, Vec<String>)>) {
    let page = std::fs::read_to_string(path).expect("a page");
    let blocks =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    for line in blocks.flat_map(joined_lines) {
        // A variable of a loop stands for one of its values.
        let calls = calls(&line.replace("$stream", "api-calls")).into_iter();
        found.extend(calls.map(|call| (path.display().to_string(), call)));
    }
}

#[test]
fn every_example_is_a_call_that_the_program_takes() {
    let mut found = Vec::new();
    add_examples(&Arguments::command(), &mut found);
    assert!(found.len() > 100, "{} examples", found.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    add_page(&root.join("README.md"), &mut found);
    for page in std::fs::read_dir(root.join("docs")).expect("the pages") {
        let path = page.expect("a page").path();
        if path.extension().is_some_and(|ending| ending == "md") {
            add_page(&path, &mut found);
        }
    }
    let refused = found.into_iter().filter_map(|(place, call)| {
        let error = Arguments::try_parse_from(&call).err()?;
        // Help and version are printed by an error, too.
        let is_refused = error.exit_code() != 0;
        is_refused.then(|| format!("{place}: {}\n{error}", call.join(" ")))
    });
    let refused: Vec<String> = refused.collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Adds the commands that end with 3 by their help, as `metrics check`.
fn add_checking(command: &clap::Command, above: &str, found: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let name = format!("{above} {}", below.get_name()).trim().to_owned();
        let help = below.get_after_help().map(ToString::to_string).unwrap_or_default();
        if help.contains("nds with 3") {
            found.push(name.clone());
        }
        add_checking(below, &name, found);
    }
}

#[test]
fn the_page_of_operators_names_every_command_that_ends_with_3() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/operator.md")).expect("the page");
    let (_, section) = page.split_once("\n## Exit codes\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("a section after it");
    let mut found = Vec::new();
    add_checking(&Arguments::command(), "", &mut found);
    assert!(found.len() > 5, "{found:?}");
    found.retain(|name| !section.contains(&format!("`{name}`")));
    assert_eq!(found, Vec::<String>::new());
}
