//! `rapport init`: an empty project whose files explain themselves.

use std::path::Path;

use anyhow::Context;

use crate::config::Config;
use crate::failure::usage;
use crate::output::{line, write_file};

/// The commented configuration that ships with the binary.
pub(crate) const DEFAULT_CONFIG: &str = include_str!("../default_rapport.toml");
/// What does not belong into version control: the key and events, and what is made of them.
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
/plan.json
*.parquet
*.ndjson
";
const QUERIES_README: &str = include_str!("../default_queries.md");

pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    if dir.join("rapport.toml").exists() {
        return Err(usage(format!(
            "{} holds a project already; nothing was changed",
            dir.display()
        )));
    }
    lay_out(dir)?;
    let config = Config::read(&dir.join("rapport.toml"))?;
    let key = config.lake().key_file;
    if !key.exists() {
        lake::LakeKey::create(&key)?;
    }
    line(&format!("A new project in {}:", dir.display()))?;
    line("  rapport.toml   where the lake and the Kafka cluster are")?;
    line("  policy.toml    who gets which support and which quota")?;
    line("  queries/       your own metrics, one .sql file each")?;
    line("  lake.key       the lake's key: keep a copy of it in a safe place")?;
    line("  .gitignore     leaves the key, the lake and reports out of version control")?;
    line("")?;
    line(&format!("Next: cd {}, name your brokers in rapport.toml, then", dir.display()))?;
    line("  rapport ingest run --until-caught-up && rapport report --out report")
}

/// Writes the files of a project, leaving those that exist.
pub(crate) fn lay_out(dir: &Path) -> anyhow::Result<()> {
    let files = [
        ("policy.toml", actions::DEFAULT_POLICY),
        ("queries/README.md", QUERIES_README),
        ("rapport.toml", DEFAULT_CONFIG),
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
    ignore(&dir.join(".gitignore"))
}

/// Adds to what version control ignores, unless that says something of keys already.
fn ignore(path: &Path) -> anyhow::Result<()> {
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
