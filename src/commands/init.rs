//! `rapport init`: an empty project whose files explain themselves.

use std::path::Path;

use anyhow::Context;

use crate::config::Config;
use crate::failure::usage;
use crate::output::{line, write_file};

/// The commented configuration that ships with the binary.
pub(crate) const DEFAULT_CONFIG: &str = include_str!("../default_rapport.toml");
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
    Ok(())
}
