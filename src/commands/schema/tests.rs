//! The schemas accept what the program accepts, and refuse the keys that it refuses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn schema(file: SchemaFile) -> Value {
    of(file).expect("a schema")
}

fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(instant) => instant.to_string().into(),
        toml::Value::Array(values) => values.iter().map(to_json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
        }
    }
}

fn parse(text: &str) -> Value {
    to_json(&toml::Value::Table(text.parse().expect("TOML")))
}

/// Returns what a schema finds wrong with a value, for the keywords that the schemas have but
/// `pattern`. The crate jsonschema would build half of the dependencies anew, with other features.
fn violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(place) = schema["$ref"].as_str() {
        let target = root.pointer(place.trim_start_matches('#')).expect("a definition");
        return violations(root, target, value, at);
    }
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{at}: {what}"));
        }
    };
    if let Some(types) = schema.get("type") {
        let types = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
        check(types.iter().any(|name| has_type(value, name.as_str())), format!("no {types:?}"));
    }
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        check(allowed.contains(value), format!("not one of {allowed:?}"));
    }
    if let Some(only) = schema.get("const") {
        check(value == only, format!("not {only}"));
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        check(value.get(key).is_some(), format!("{key} is missing"));
    }
    for (keyword, only_one) in [("oneOf", true), ("anyOf", false)] {
        let Some(Value::Array(cases)) = schema.get(keyword) else { continue };
        let fits = cases.iter().filter(|case| violations(root, case, value, at).is_empty()).count();
        check(fits == 1 || (fits > 1 && !only_one), format!("{fits} of {keyword}"));
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(known), _) => wrong.extend(violations(root, known, below, &at)),
            (None, Some(Value::Bool(false))) => wrong.push(format!("{at}: unknown")),
            (None, Some(other)) => wrong.extend(violations(root, other, below, &at)),
            (None, None) => {}
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        wrong.extend(violations(root, &schema["items"], item, &format!("{at}/{index}")));
    }
    wrong
}

fn has_type(value: &Value, name: Option<&str>) -> bool {
    match name {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => false,
    }
}

#[track_caller]
fn accept(file: SchemaFile, value: &Value, what: &str) {
    let schema = schema(file);
    assert_eq!(violations(&schema, &schema, value, ""), Vec::<String>::new(), "{what}");
}

/// Returns the tables of a schema that allow no other key, by path, each with its keys.
fn closed_tables(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    if schema["additionalProperties"] == false {
        found.push((path.to_owned(), properties.keys().cloned().collect()));
    }
    for (key, below) in properties {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        closed_tables(below, &path, found);
    }
}

/// Checks that the program refuses an unknown key in each table of a schema, and that the keys which
/// its message lists are those of the schema. `refusal` adds the key to a good file.
fn check_keys(file: SchemaFile, refusal: &dyn Fn(&str) -> String, least: usize) {
    let mut tables = Vec::new();
    closed_tables(&schema(file), "", &mut tables);
    assert!(tables.len() >= least, "{tables:?}");
    for (path, keys) in tables {
        let message = refusal(&path);
        let (_, known) = message.split_once("; there are ").unwrap_or_else(|| panic!("{message}"));
        let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
        assert_eq!(known, keys, "[{path}]: {message}");
    }
}

/// Returns a file with one more key in a table that it may have.
fn with_unknown_key(text: &str, path: &str) -> String {
    let mut file: toml::Table = text.parse().expect("TOML");
    let mut table = &mut file;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let below = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = below.as_table_mut().expect("a table");
    }
    table.insert("zzz".to_owned(), toml::Value::Boolean(true));
    toml::to_string(&file).expect("TOML")
}

#[test]
fn the_schema_of_rapport_toml_is_that_of_the_program() {
    accept(SchemaFile::Rapport, &parse(config::DEFAULTS), "the defaults");
    accept(SchemaFile::Rapport, &parse(&config::template()), "the template");
    check_keys(
        SchemaFile::Rapport,
        &|path| {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("rapport.toml");
            std::fs::write(&file, with_unknown_key("", path)).expect("written");
            config::Config::read(&file).err().expect("refused").to_string()
        },
        12,
    );
    let root = schema(SchemaFile::Rapport);
    let described = root.pointer("/properties/lake/properties/key_file/description");
    assert!(described.is_some_and(|text| text.as_str().is_some_and(|t| t.contains("Hashes"))));
    let wrong =
        parse("[lake]\nroot = 1\n[[actions.channels]]\nname = 'x'\nkind = 'file'\nurl = 'y'");
    let found = violations(&root, &root, &wrong, "");
    assert!(found.len() == 2 && found[1].starts_with("/lake/root"), "{found:?}");
}

#[test]
fn settings_on_the_pages_fit_their_schema() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let root = schema(SchemaFile::Rapport);
    let known = root["properties"].as_object().expect("sections");
    let mut seen = 0;
    for entry in std::fs::read_dir(docs).expect("the pages") {
        let path = entry.expect("a page").path();
        let Ok(page) = std::fs::read_to_string(&path) else { continue };
        for block in page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let Ok(table) = block.parse::<toml::Table>() else { continue };
            if table.keys().all(|key| known.contains_key(key)) {
                seen += 1;
                accept(SchemaFile::Rapport, &parse(block), &path.display().to_string());
            }
        }
    }
    assert!(seen > 5, "{seen} blocks");
}

#[test]
fn the_schemas_of_the_policies_are_those_of_the_program() {
    accept(SchemaFile::Scoring, &parse(scoring::DEFAULT_POLICY), "the scoring policy");
    check_keys(
        SchemaFile::Scoring,
        &|path| {
            let text = with_unknown_key(scoring::DEFAULT_POLICY, path);
            scoring::Policy::parse(&text).expect_err("refused").to_string()
        },
        10,
    );
    let mut without: toml::Table = scoring::DEFAULT_POLICY.parse().expect("TOML");
    CANDIDATES.iter().for_each(|name| drop(without.remove(*name)));
    let weights = without["weights"].as_table_mut().expect("the weights");
    CANDIDATES.iter().for_each(|name| drop(weights.remove(*name)));
    let without = toml::to_string(&without).expect("TOML");
    scoring::Policy::parse(&without).expect("candidates may be left out");
    accept(SchemaFile::Scoring, &parse(&without), "without candidates");

    accept(SchemaFile::Policy, &parse(actions::DEFAULT_POLICY), "the action policy");
    check_keys(
        SchemaFile::Policy,
        &|path| {
            let text = with_unknown_key(actions::DEFAULT_POLICY, path);
            actions::Policy::parse(&text).expect_err("refused").to_string()
        },
        2,
    );
}

/// Returns the files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let nested = paths.map(|path| match path.is_dir() {
        true => files(&path, ending),
        false if path.to_string_lossy().ends_with(ending) => vec![path],
        false => Vec::new(),
    });
    nested.flatten().collect()
}

#[test]
fn the_headers_and_cases_of_all_queries_fit_their_schemas() {
    let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut seen = 0;
    for path in files(&queries, ".sql") {
        let text = std::fs::read_to_string(&path).expect("a query");
        let (header, _) = text.trim_start().split_once("---*/").expect("a header");
        let header = header.strip_prefix("/*---").expect("a header");
        accept(SchemaFile::QueryHeader, &parse(header), &path.display().to_string());
        seen += 1;
    }
    for path in files(&queries, ".test.toml") {
        let text = std::fs::read_to_string(&path).expect("cases");
        accept(SchemaFile::QueryCases, &parse(&text), &path.display().to_string());
        seen += 1;
    }
    assert!(seen > 150, "{seen} files");
    for (text, file) in [
        ("description = 'x'\nownr = 'y'", SchemaFile::QueryHeader),
        ("[[case]]\nnme = 1", SchemaFile::QueryCases),
    ] {
        let schema = schema(file);
        let found = violations(&schema, &schema, &parse(text), "");
        assert!(found.iter().any(|what| what.ends_with("unknown")), "{found:?}");
    }
}
