use super::files::SourceFile;
use super::*;

const HEAD: &str = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";

fn source(path: &str, text: &str) -> SourceFile {
    SourceFile::new(path.to_owned(), text)
}

#[test]
fn the_folder_is_the_kind_and_the_file_the_name() {
    let files = [source("metrics/m.sql", HEAD), source("views/v.sql", HEAD)];
    let catalog = Catalog::parse(&files, "queries");
    assert_eq!(catalog.queries["m"].kind, QueryKind::Metric);
    assert_eq!(catalog.queries["v"].kind, QueryKind::View);
    assert_eq!(catalog.queries["v"].file, "queries/views/v.sql");
    assert_eq!(catalog.diagnostics, []);
}

#[test]
fn built_in_cases_can_be_parsed_and_belong_to_a_query() {
    let paths = BUILT_IN.dirs().flat_map(Dir::files).map(|file| file.path().to_string_lossy());
    let files = paths.filter(|path| path.ends_with(CASES_SUFFIX)).count();
    let catalog = Catalog::built_in().expect("the built-in queries");
    assert_eq!(catalog.queries().filter(|query| !query.cases().is_empty()).count(), files);
}

#[test]
fn a_wrong_file_does_not_hide_the_others() {
    #[track_caller]
    fn check(wrong: &[SourceFile], headline: &str, unreadable: &[&str]) {
        let mut files = vec![source("metrics/good.sql", HEAD)];
        files.extend(
            wrong.iter().map(|f| SourceFile { is_utf8: f.is_utf8, ..source(&f.path, &f.text) }),
        );
        let catalog = Catalog::parse(&files, "q");
        let headlines: Vec<String> = catalog.diagnostics.iter().map(Diagnostic::headline).collect();
        assert_eq!(headlines, [headline]);
        assert_eq!(catalog.unreadable.keys().collect::<Vec<_>>(), unreadable);
        assert!(catalog.get("good").is_some());
        for name in unreadable {
            let error = catalog.find(name).expect_err("unreadable").to_string();
            assert!(headline.starts_with("q/") && error.starts_with("q/"), "{error}");
        }
    }
    check(
        &[source("metrics/m.sql", HEAD), source("views/m.sql", HEAD)],
        "q/views/m.sql:1:1: q/metrics/m.sql has the name \"m\" already",
        &["m"],
    );
    check(
        &[source("metrics/api_calls.sql", HEAD)],
        "q/metrics/api_calls.sql:1:1: \"api_calls\" is a table of the lake; choose another name",
        &[],
    );
    check(
        &[source("metrics/My.sql", HEAD)],
        "q/metrics/My.sql:1:1: \"My\" is no query name; use a-z, 0-9 and _ as in my_metric",
        &["My"],
    );
    check(&[source("m.sql", HEAD)], "q/m.sql:1:1: its folder says what a query is", &[]);
    for (path, message) in [
        ("metrics/old/m.sql", "folders below it are not read; move it to metrics/"),
        ("metrics/old/m.test.toml", "folders below it are not read; move it to metrics/"),
        (
            "check/m.sql",
            "its folder says what a query is, and this one says nothing; did you mean checks/?",
        ),
        ("metrics/m.SQL", "files of queries end in lower case; rename it to m.sql"),
    ] {
        let catalog = Catalog::parse(&[source(path, HEAD)], "q");
        let found: Vec<String> = catalog.misplaced().map(Diagnostic::one_line).collect();
        assert_eq!(found, [format!("q/{path}:1:1: {message}")]);
    }
    let broken = SourceFile { is_utf8: false, ..source("metrics/m.sql", HEAD) };
    check(&[broken], "q/metrics/m.sql:1:1: the file is not UTF-8, or is broken", &["m"]);
    let marked = source("metrics/m.sql", &format!("\u{feff}{HEAD}"));
    assert_eq!(Catalog::parse(&[marked], "q").diagnostics, []);
    check(
        &[source("metrics/m.test.toml", "")],
        "q/metrics/m.test.toml:1:1: there is no m.sql beside it",
        &[],
    );
    check(
        &[source("metrics/m.sql", HEAD), source("metrics/m.test.toml", "[[case]]\nnom = 1\n")],
        "q/metrics/m.test.toml:2:1: unknown field `nom`, expected one of `name`, `as_of`, `reporting_currency`, `rates`, `given`, `expect`, `error`",
        &[],
    );
    check(
        &[
            source("metrics/m.sql", &HEAD.replace("Int64", "Text")),
            source("metrics/m.test.toml", ""),
        ],
        "q/metrics/m.sql:4:14: \"Text\" is no type",
        &["m"],
    );
}

#[test]
fn changed_files_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    let read = || Catalog::of_folder(folder.path()).expect("the queries");
    write("metrics/kept.sql", HEAD);
    write("metrics/m.sql", HEAD);
    write("metrics/m.test.toml", "case = []\n");
    let before = read();
    assert_eq!(read().changed_files_since(&before), []);
    write("metrics/m.sql", &HEAD.replace("\"d\"", "\"e\""));
    std::fs::remove_file(folder.path().join("metrics/m.test.toml")).expect("a file");
    write("views/v.sql", HEAD);
    // Temporary files of editors are ignored.
    write("views/.#w.sql", HEAD);
    write("views/v.sql~", HEAD);
    let saved = read().changed_files_since(&before);
    let lines: Vec<String> = saved
        .iter()
        .map(|s| {
            let file = s.file.strip_prefix(&folder.path().display().to_string());
            format!("{} {} {}", file.expect("below it"), s.query, s.change.as_str())
        })
        .collect();
    assert_eq!(
        lines,
        ["/metrics/m.sql m changed", "/metrics/m.test.toml m deleted", "/views/v.sql v new"]
    );
    assert!(saved[1].is_cases() && !saved[0].is_cases());
}

#[test]
fn a_replacement_keeps_kind_and_columns() {
    let built_in = Catalog::parse(&[source("metrics/m.sql", HEAD)], "q");
    let check = |path: &str, text: &str, expected: Option<&str>| {
        let other = Catalog::parse(&[source(path, text)], "p");
        let found = replacement_error(&built_in.queries["m"], &other.queries["m"]);
        assert_eq!(found.map(|f| f.headline()).as_deref(), expected);
    };
    check("metrics/m.sql", HEAD, None);
    check(
        "metrics/m.sql",
        &HEAD.replace("a =", "b ="),
        Some("p/metrics/m.sql:1:1: it replaces the built-in m, and lacks its column a (Int64)"),
    );
    check("views/m.sql", HEAD, Some("p/views/m.sql:1:1: the built-in m is a metric"));
}
