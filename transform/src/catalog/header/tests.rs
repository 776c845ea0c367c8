use domain::Day;

use super::*;

#[test]
fn columns_keep_the_order_of_the_file() {
    let header = parse_header(
        "/*---\ndescription = \"d\"\ngrain = [\"z\"]\n\n[columns]\nz = { type = \"Date32\" }\na = { type = \"Decimal\", unit = \"reporting_currency\" }\nm = { type = \"Decimal(38, 0)\" }\n\n[[checks]]\nunique = [\"z\"]\n[[checks]]\nsql = \"SELECT 1\"\nseverity = \"warn\"\n---*/\nSELECT 1",
    )
    .expect("a header");
    let columns: Vec<_> = header.columns.iter().map(|c| (c.name.as_str(), c.column_type)).collect();
    assert_eq!(
        columns,
        [
            ("z", ColumnType::Date32),
            ("a", ColumnType::Decimal(38, 12)),
            ("m", ColumnType::Decimal(38, 0))
        ]
    );
    assert_eq!(
        header.checks,
        [
            Check { rule: CheckRule::Unique(vec!["z".to_owned()]), severity: CheckSeverity::Error },
            Check { rule: CheckRule::Sql("SELECT 1".to_owned()), severity: CheckSeverity::Warn }
        ]
    );
}

#[test]
fn the_text_of_a_check_has_its_position() {
    let header = parse_header(
        "/*---\ndescription = \"d\"\n[columns]\nb = { type = \"Utf8\" }\n[[checks]]\nsql = \"SELECT 1\"\n[[checks]]\nsql = \"\"\"\nSELECT 2\"\"\"\n[[checks]]\nsql = \"SELECT \\\"b\\\"\"\n---*/",
    )
    .expect("a header");
    let positions: Vec<_> = header
        .check_positions
        .iter()
        .map(|c| (c.position.line, c.position.column, c.verbatim))
        .collect();
    assert_eq!(positions, [(6, 8, true), (9, 1, true), (11, 7, false)]);
}

#[test]
fn a_range_covers_its_days() {
    #[track_caller]
    fn check(text: &str, days: &[i32]) {
        let range = DayRange::parse(text).expect("a range");
        let read: Vec<i32> = (0..6).filter(|i| range.covers(Day(4), Day(*i))).collect();
        assert_eq!(read, days, "{text}");
    }
    check("same", &[4]);
    check("lookback 2", &[2, 3, 4]);
    check("upto", &[0, 1, 2, 3, 4]);
    check("all", &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn errors_name_file_and_line() {
    #[track_caller]
    fn check(text: &str, start: &str) {
        let error = parse_header(text).expect_err("no header");
        let position = error.span(text).start;
        let error = format!("{}:{}: {}", position.line, position.column, error.message);
        assert!(error.starts_with(start), "{error}");
    }
    check("SELECT 1", "1:1: a query file begins with its header");
    check("\n/*---\ndescription = \"d\"\n", "2:1: the header has no end");
    check("/*---\ndescription = \"d\"\nowner = 3\n[columns]\n---*/", "3:9: ");
    check(
        "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Text\" }\n---*/",
        "4:14: \"Text\"",
    );
    check("/*---\ndescription = \"d\"\ncolour = 1\n[columns]\n---*/", "3:1: unknown field");
    check(
        "/*---\ndescription = \"d\"\nreads = { a = \"some\" }\n[columns]\n---*/",
        "3:15: \"some\"",
    );
    check(
        "/*---\ndescription = \"d\"\ngrain = [\"a\"]\n[columns]\nb = { type = \"Utf8\" }\n---*/",
        "3:9: the grain \"a\"",
    );
    let with = |rule: &str| {
        format!(
            "/*---\ndescription = \"d\"\n[columns]\nb = {{ type = \"Utf8\" }}\n[[checks]]\n{rule}\n---*/"
        )
    };
    check(&with("unique = [\"a\"]"), "6:11: the check names \"a\"");
    check(&with("unique = [\"b\"]\nsql = \"\""), "5:");
    check(&with("severity = \"fatal\"\nunique = [\"b\"]"), "6:");
}
