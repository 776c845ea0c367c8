//! The built-in mappings, which are compiled into the program.

use domain::{Stream, closest_name};
use include_dir::{Dir, include_dir};

use super::error::MappingError;
use super::header::{Header, MappingInput};

pub(super) static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../mappings");

/// A built-in mapping that is not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub name: &'static str,
    pub description: String,
    /// The stream that its events belong to.
    pub stream: Option<Stream>,
    pub input: MappingInput,
    /// The program's text.
    pub source: &'static str,
}

/// Returns the recipes by name.
pub fn recipes() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = files().map(|(name, source)| recipe(name, source)).collect();
    recipes.sort_by_key(|recipe| recipe.name);
    recipes
}

/// Returns the recipe of a name, or an error with the closest name.
pub(super) fn find(name: &str) -> Result<Recipe, MappingError> {
    let found = files().find(|(known, _)| *known == name);
    found.map(|(name, source)| recipe(name, source)).ok_or_else(|| {
        let closest = closest_name(name, files().map(|(known, _)| known)).map(str::to_owned);
        let closest = closest.or_else(|| {
            // "nginx" means one of the two recipes for nginx.
            let of_source: Vec<&str> = files()
                .map(|(known, _)| known)
                .filter(|known| known.split('-').next() == name.split('-').next())
                .collect();
            (!of_source.is_empty()).then(|| of_source.join("\" or \""))
        });
        MappingError::UnknownRecipe { name: name.to_owned(), closest }
    })
}

fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.files().filter_map(|file| {
        let name = file.path().to_str()?.strip_suffix(".jq")?;
        Some((name, file.contents_utf8()?))
    })
}

fn recipe(name: &'static str, source: &'static str) -> Recipe {
    // A test compiles them all, so a header is never broken here.
    let header = Header::parse(name, source).unwrap_or_default();
    let Header { description, stream, input } = header;
    Recipe { name, description, stream, input, source }
}
