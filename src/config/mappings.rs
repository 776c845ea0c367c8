//! The mappings of a project: those of `[ingest.mapping]`, and those that a command line names.

use std::collections::BTreeMap;
use std::path::Path;

use domain::Stream;
use ingest::mapping::{Mapping, recipes};

use super::Config;
use super::check::position_of;
use super::file::RapportToml;
use crate::errors::usage_error;

/// What `--mapping` says for the records as they are.
pub(crate) const NO_MAPPING: &str = "none";

impl Config {
    /// Returns the mapping of a stream, where `rapport.toml` names one.
    ///
    /// # Errors
    /// The mapping can't be used, with its position in `rapport.toml` and in its own file.
    pub(crate) fn mapping(&self, stream: Stream) -> anyhow::Result<Option<Mapping>> {
        let named = self.values.ingest.mappings().find(|(of, _)| *of == stream);
        let Some((_, name)) = named else { return Ok(None) };
        let at = self.mapping_positions.get(&stream).map_or("rapport.toml", String::as_str);
        let key = format!("{at}: [ingest.mapping] {}", stream.table());
        let mapping =
            self.named_mapping(name).map_err(|error| usage_error(format!("{key}: {error}")))?;
        match mapping.stream() {
            Some(other) if other != stream => Err(usage_error(format!(
                "{key} = \"{name}\": this mapping gives {other}; name it as {}",
                other.table()
            ))),
            _ => Ok(Some(mapping)),
        }
    }

    /// Returns the mapping of every stream that has one.
    ///
    /// # Errors
    /// As [`Config::mapping`].
    pub(crate) fn mappings(&self) -> anyhow::Result<BTreeMap<Stream, Mapping>> {
        let named = self.values.ingest.mappings().map(|(stream, _)| stream);
        let found = named.map(|stream| Ok(self.mapping(stream)?.map(|mapping| (stream, mapping))));
        Ok(found.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Returns the mapping of a name as `rapport.toml` and dead letters have it: a recipe, or a
    /// file relative to the project's folder.
    ///
    /// # Errors
    /// There is no such mapping, or it can't be used.
    pub(crate) fn named_mapping(&self, name: &str) -> anyhow::Result<Mapping> {
        if is_file_name(name) {
            let path = self.folder.join(name);
            read(&name_of_file(Some(self), &path), &path)
        } else {
            Mapping::built_in(name).map_err(|error| usage_error(error.to_string()))
        }
    }
}

/// Returns the mapping that `--mapping` gives: a recipe, or a file relative to the current folder.
///
/// # Errors
/// There is no such mapping, or it can't be used.
pub(crate) fn given_mapping(config: Option<&Config>, given: &str) -> anyhow::Result<Mapping> {
    let path = Path::new(given);
    if !is_file_name(given) {
        return Mapping::built_in(given).map_err(|error| {
            let beside = format!("{given}.jq");
            let is_there = Path::new(&beside).is_file();
            let file =
                if is_there { format!(" (the file here is {beside})") } else { String::new() };
            usage_error(format!("--mapping: {error}{file}"))
        });
    }
    read(&name_of_file(config, path), path)
        .map_err(|error| usage_error(format!("--mapping: {error}")))
}

/// Returns the name that dead letters have for a mapping of the command line, which may be gone.
pub(crate) fn mapping_name(config: &Config, given: &str) -> String {
    if is_file_name(given) {
        name_of_file(Some(config), Path::new(given))
    } else {
        given.to_owned()
    }
}

/// Returns the one name of a file, however it is written: its path without links, relative to the
/// project's folder where it lies in it.
fn name_of_file(config: Option<&Config>, path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let inside = config.and_then(|config| whole.strip_prefix(&config.folder).ok());
    inside.unwrap_or(&whole).display().to_string()
}

/// Whether the name of a mapping is that of a file; otherwise it is that of a recipe.
pub(super) fn is_file_name(name: &str) -> bool {
    name.ends_with(".jq") || name.contains(['/', '\\'])
}

/// Returns where `rapport.toml` names the mapping of each stream.
pub(super) fn positions(values: &RapportToml, path: &Path, text: &str) -> BTreeMap<Stream, String> {
    let position = |(stream, _): (Stream, &str)| {
        let at = position_of(text, &["ingest", "mapping", stream.table()]);
        (stream, format!("{}:{at}", path.display()))
    };
    values.ingest.mappings().map(position).collect()
}

fn read(name: &str, path: &Path) -> anyhow::Result<Mapping> {
    let source = std::fs::read_to_string(path).map_err(|error| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let recipe = stem.filter(|stem| recipes().iter().any(|recipe| recipe.name == stem));
        let meant = recipe.map_or_else(String::new, |recipe| {
            format!("; the built-in recipe is called \"{recipe}\", without .jq")
        });
        usage_error(format!("the mapping {} can't be read: {error}{meant}", path.display()))
    })?;
    Mapping::compile(name, &source).map_err(|error| usage_error(error.to_string()))
}
