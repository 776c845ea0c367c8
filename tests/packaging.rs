//! What packages, charts and dashboards say of the program: its commands, settings and figures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::files::all_files;
use crate::support::kafka_broker::print_note;
use crate::support::page_server::PageServer;
use crate::support::program::{Project, rapport_command, run};

fn packaging(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(below)
}

fn read(below: &str) -> String {
    let path = packaging(below);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Returns the text of every unit, by its name.
fn units() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(packaging("systemd")).expect("the units");
    let names = entries.map(|entry| entry.expect("a unit").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&format!("systemd/{name}")))).collect()
}

/// Says that a test is skipped; with `CI=true` it fails.
fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    print_note(&format!("skipped: {why}"));
}

/// Returns the values of a key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Checks that the program has a command, with these flags and values.
fn check_command(place: &str, arguments: &[String]) {
    let mut command = rapport_command();
    command.current_dir(std::env::temp_dir()).args(arguments).arg("--help");
    let result = run(command);
    assert_eq!(result.code, Some(0), "{place}: {result}");
}

#[test]
fn units_and_chart_run_commands_of_the_program() {
    let mut seen = 0;
    for (name, unit) in units() {
        for line in values(&unit, "ExecStart") {
            let arguments = line.strip_prefix("/usr/bin/rapport ").expect("the program");
            let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            check_command(&name, &arguments);
            seen += 1;
        }
    }
    assert!(seen > 8, "{seen} commands of units");
    let chart = read("helm/rapport/values.yaml");
    let lists = chart.lines().filter_map(|line| line.trim_start().strip_prefix("args: "));
    let lists: Vec<Vec<String>> =
        lists.map(|list| serde_json::from_str(list).expect("a list of arguments")).collect();
    assert!(lists.len() > 8, "{} commands of the chart", lists.len());
    lists.iter().for_each(|arguments| check_command("values.yaml", arguments));
    let backup = ["lake", "backup", "s3://backup/rapport", "--quiet"].map(str::to_owned);
    assert!(read("helm/rapport/templates/jobs.yaml").contains("(list \"lake\" \"backup\" "));
    check_command("jobs.yaml", &backup);
}

#[test]
fn every_timer_has_its_service_and_every_unit_the_same_limits() {
    let units = units();
    let named = |name: &str| units.iter().find(|(unit, _)| unit == name).map(|(_, text)| text);
    let limits = |unit: &str| {
        let lines = unit.lines().skip_while(|line| !line.starts_with("# What it may do"));
        let lines = lines.take_while(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = limits(named("rapport-ingest.service").expect("a unit"));
    assert!(expected.contains(&"NoNewPrivileges=yes".to_owned()) && expected.len() > 20);
    for (name, unit) in &units {
        if let Some(timer) = name.strip_suffix(".timer") {
            assert!(named(&format!("{timer}.service")).is_some(), "{name} has no service");
            assert_eq!(values(unit, "OnCalendar").len(), 1, "{name}");
        }
        if name.ends_with(".service") {
            assert_eq!(limits(unit), expected, "{name}");
            assert_eq!(values(unit, "User"), ["rapport"], "{name}");
        }
    }
}

#[test]
fn systemd_finds_the_units_well_made() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip("systemd-analyze is missing: install systemd");
    }
    for (name, unit) in units() {
        if let Some(calendar) = values(&unit, "OnCalendar").first() {
            let checked = Command::new("systemd-analyze").args(["calendar", calendar]).output();
            assert!(checked.expect("it can be run").status.success(), "{name}: {calendar}");
        }
        if !name.ends_with(".service") {
            continue;
        }
        // Thirty tenths: the best of ten is nought, and a unit without limits has more than nine.
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--threshold=30", "--no-pager"]);
        let checked = security.arg(packaging("systemd").join(&name)).output().expect("run");
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{name}: {text}");
    }
}

/// Returns the names that begin with a prefix in the dashboard and the alert rules.
fn figures(prefix: &str) -> BTreeSet<String> {
    let texts = [read("grafana/rapport.json"), read("prometheus/rapport.rules.yml")].concat();
    let words = texts.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_name_figures_of_the_server() {
    let project = Project::new();
    let server = PageServer::start(&project);
    server.get("/healthz");
    let text = server.get("/metrics").text;
    let named = figures("rapport_serve_");
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        let is_there = text
            .lines()
            .any(|line| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(is_there, "no {name} in {text}");
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("grafana/rapport.json")).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 8));
}

#[test]
fn the_chart_configures_settings_that_there_are() {
    let chart = read("helm/rapport/values.yaml");
    let (_, after) = chart.split_once("    rapport.toml: |\n").expect("a configuration");
    let lines = after.lines().take_while(|line| line.is_empty() || line.starts_with("      "));
    let toml: Vec<&str> = lines.map(|line| line.strip_prefix("      ").unwrap_or(line)).collect();
    let project = Project::new();
    project.write("rapport.toml", toml.join("\n"));
    let answer = project.run(&["doctor", "--format", "json"]).stdout_text();
    let checks: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let configuration = checks
        .as_array()
        .and_then(|all| all.iter().find(|check| check["check"] == "configuration"));
    assert_eq!(configuration.expect("a check")["state"], "ok", "{answer}");
}

#[test]
fn the_chart_renders() {
    let helm = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    if Command::new(&helm).arg("version").output().is_err() {
        return skip("helm is missing: go install helm.sh/helm/v3/cmd/helm@v3.19.5");
    }
    let chart = packaging("helm/rapport");
    let helm = |arguments: &[&str]| {
        let mut command = Command::new(&helm);
        command.args(arguments).arg(&chart).args(["--kube-version", "1.30.0"]);
        let output = command.output().expect("helm can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {text}{messages}");
        text
    };
    helm(&["lint", "--strict"]);
    let kinds = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("kind: ")).map(str::to_owned).collect()
    };
    let least = helm(&["template", "x", "--set", "run.enabled=false,networkPolicy.enabled=false"]);
    let least = kinds(&least);
    assert_eq!(least.iter().filter(|kind| *kind == "Deployment").count(), 1, "{least:?}");
    let all = [
        "serve.enabled=true",
        "serve.ingress.enabled=true",
        "kafka.enabled=true",
        "backup.enabled=true",
        "project.sources[0].configMap.name=queries",
        "environmentSecret=passwords",
    ];
    let all = helm(&["template", "x", "--set", &all.join(",")]);
    let found = kinds(&all);
    for kind in ["Deployment", "CronJob", "StatefulSet", "NetworkPolicy", "Ingress", "ConfigMap"] {
        assert!(found.iter().any(|other| other == kind), "no {kind} in {found:?}");
    }
    // Every container of the program runs without rights.
    let (containers, without) = (
        all.matches("image: \"rapport:").count(),
        all.matches("readOnlyRootFilesystem: true").count(),
    );
    assert!(containers > 8 && containers == without, "{containers} containers, {without} so");
}

#[test]
fn chart_and_container_are_of_this_version() {
    let chart = read("helm/rapport/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(chart.contains(&format!("\nversion: {version}\n")), "{chart}");
    assert!(chart.contains(&format!("\nappVersion: \"{version}\"\n")), "{chart}");
    let toolchain = Path::new(env!("CARGO_MANIFEST_DIR")).join("rust-toolchain.toml");
    let toolchain = std::fs::read_to_string(toolchain).expect("the toolchain");
    let container = read("container/Containerfile");
    let (_, image) = container.split_once("FROM docker.io/library/rust:").expect("a compiler");
    let compiler = image.split('-').next().expect("a version");
    assert!(toolchain.contains(&format!("channel = \"{compiler}.")), "{compiler}: {toolchain}");
    let (_, entry) = container.split_once("ENTRYPOINT ").expect("an entry point");
    let entry: Vec<String> =
        serde_json::from_str(entry.lines().next().expect("a line")).expect("a list");
    assert_eq!(entry, ["/usr/bin/rapport"]);
}

#[test]
fn completions_and_man_pages_are_made() {
    let project = Project::empty();
    for (shell, words) in [
        ("bash", "complete -F _rapport"),
        ("zsh", "#compdef rapport"),
        ("fish", "complete -c rapport"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = project.run_ok(&["completions", shell]);
        assert!(script.contains(words) && script.contains("until-caught-up"), "{shell}: {script}");
    }
    project.run(&["completions", "tcsh"]).expect_error(2, &["tcsh"]);
    project.run_ok(&["man", "man1"]);
    let pages = all_files(&project.path("man1"));
    assert!(pages.len() > 40, "{} pages", pages.len());
    let page = std::fs::read_to_string(project.path("man1/rapport-lake-backup.1")).expect("a page");
    assert!(page.contains("bring the copy there up to date"), "{page}");
}

#[test]
fn schemas_are_printed() {
    let project = Project::empty();
    for (file, title) in [
        ("rapport", "rapport.toml"),
        ("scoring", "scoring.toml"),
        ("policy", "policy.toml"),
        ("query-header", "query"),
        ("query-cases", "NAME.test.toml"),
    ] {
        let text = project.run_ok(&["schema", file]);
        let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(schema["title"].as_str().is_some_and(|text| text.contains(title)), "{text}");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    }
}

#[test]
fn the_debian_package_holds_files_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("assets");
    for asset in assets {
        let source = asset[0].as_str().expect("a path");
        if source.starts_with("target/") {
            continue;
        }
        let (folder, name) = source.rsplit_once('/').unwrap_or(("", source));
        let ending = name.strip_prefix('*');
        let mut entries = std::fs::read_dir(root.join(folder)).expect("a folder");
        let is_there = entries.any(|entry| {
            let found = entry.expect("a file").file_name().to_string_lossy().into_owned();
            ending.map_or(found == name, |ending| found.ends_with(ending))
        });
        assert!(is_there, "{source}");
    }
}
