//! `rapport init`: writes the files of an empty project.

use std::path::Path;

use anyhow::Context;

use crate::atomic_file::write_file;
use crate::config::{self, Config};
use crate::errors::usage_error;
use crate::output::print_line;

/// What version control ignores: the key, the events, and what is computed from them.
const GITIGNORE: &str = "\
# The lake's key: whoever has it can open rejected records. Keep a copy of it elsewhere.
*.key
lake.new
# Secrets that rapport.toml names by { file = \"secrets/…\" }.
secrets/
# Events, and what Rapport makes of them.
/lake/
/demo/
/world/
/metrics/
/report/
/.report.lock
/plan.json
*.parquet
*.ndjson
";
const QUERIES_README: &str = include_str!("../default_queries.md");

/// Makes a project and prints what it consists of.
pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    if dir.join("rapport.toml").exists() {
        return Err(usage_error(format!(
            "{} holds a project already; nothing was changed",
            dir.display()
        )));
    }
    write_project_files(dir)?;
    let config = Config::read(&dir.join("rapport.toml"))?;
    let key = config.lake().key_file;
    if !key.exists() {
        lake::LakeKey::create(&key)?;
    }
    print_line(&format!("A new project in {}:", dir.display()))?;
    print_line("  rapport.toml   where the lake and the Kafka cluster are")?;
    print_line("  policy.toml    who gets which support and which quota")?;
    print_line("  queries/       your own metrics, one .sql file each")?;
    print_line("  lake.key       the lake's key: keep a copy of it in a safe place")?;
    print_line("  .gitignore     leaves the key, the lake and reports out of version control")?;
    print_line("")?;
    print_line(&format!("Next: cd {}, and load a log or events from files,", dir.display()))?;
    print_line("  rapport ingest load --mapping RECIPE FILE && rapport report --out report")?;
    print_line("or name your brokers in rapport.toml, and")?;
    print_line("  rapport ingest run --until-caught-up && rapport report --out report")
}

/// Writes the files of a project that do not exist yet.
pub(crate) fn write_project_files(dir: &Path) -> anyhow::Result<()> {
    let template = config::template();
    let files = [
        ("policy.toml", actions::DEFAULT_POLICY),
        ("queries/README.md", QUERIES_README),
        ("rapport.toml", &template),
    ];
    for kind in ["rollups", "views", "metrics", "checks"] {
        let folder = dir.join("queries").join(kind);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
    }
    for (name, text) in files {
        let path = dir.join(name);
        if !path.exists() {
            write_file(&path, text.as_bytes())?;
        }
    }
    extend_gitignore(&dir.join(".gitignore"))
}

/// Appends to `.gitignore`, unless it has an entry for keys already.
fn extend_gitignore(path: &Path) -> anyhow::Result<()> {
    let mut text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("{} can't be read", path.display()))?,
    };
    if text.lines().any(|line| matches!(line.trim(), "*.key" | "lake.key" | "/lake.key" | "*")) {
        return Ok(());
    }
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(GITIGNORE);
    write_file(path, text.as_bytes())
}
