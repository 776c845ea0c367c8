//! `rapport ingest mappings`: lists the recipes, and prints the program of one or the functions that
//! all may call.

use std::io::Write;

use anyhow::Context;
use ingest::mapping::{Mapping, MappingInput, Recipe, library, recipes};

use crate::args::{Format, MappingsArgs};
use crate::errors::usage_error;
use crate::output::{self, print_note, print_table};
use crate::rows::text_batch;
use crate::table::Table;

/// Lists the recipes, or prints one.
pub(crate) fn list(options: &MappingsArgs) -> anyhow::Result<()> {
    if let Some(name) = &options.name {
        let mapping = Mapping::built_in(name).map_err(|error| usage_error(error.to_string()))?;
        // A file of it is a mapping as it is.
        return print_program(mapping.source());
    }
    if options.functions {
        return print_program(library());
    }
    let recipes = recipes();
    let stream = |recipe: &Recipe| recipe.stream.map_or_else(String::new, |s| s.to_string());
    if options.format != Format::Table {
        let column = |of: &dyn Fn(&Recipe) -> String| recipes.iter().map(of).collect();
        let rows = text_batch([
            ("recipe", column(&|recipe| recipe.name.to_owned())),
            ("stream", column(&stream)),
            ("input", column(&|recipe| input(recipe).to_owned())),
            ("description", column(&|recipe| recipe.description.clone())),
        ])?;
        return output::print_batch(&rows, options.format);
    }
    let mut table = Table::new(["recipe", "stream", "input", "description"], &[]);
    for recipe in &recipes {
        table.row([
            recipe.name.to_owned(),
            stream(recipe),
            input(recipe).to_owned(),
            recipe.description.clone(),
        ]);
    }
    print_table(&table)?;
    print_note(
        "`rapport ingest mappings RECIPE` prints one, `rapport ingest try --mapping RECIPE FILE` \
         shows what it makes of a file.",
    );
    Ok(())
}

fn print_program(source: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(source.as_bytes()).context("standard output")
}

/// Returns what a recipe reads.
fn input(recipe: &Recipe) -> &'static str {
    match recipe.input {
        MappingInput::Json => "json",
        MappingInput::Text => "text",
    }
}
