//! Compares the rows of a metric with the CSV file that the program wrote, cell by cell.

use domain::{Day, MONEY_SCALE, parse_decimal, parse_instant, to_f64};

/// The tolerance of a float, relative to its size or to 1: sums depend on the order.
const TOLERANCE: f64 = 1e-9;

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Flag(bool),
    Int(i64),
    Float(f64),
    /// In 10⁻¹² of the reporting currency.
    Money(i128),
    Date(Day),
    Instant(i64),
    /// A whole number beyond 64 bits.
    Whole(i128),
    Text(String),
}

impl Cell {
    pub(crate) fn float(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Float)
    }

    pub(crate) fn text(value: &str) -> Self {
        Self::Text(value.to_owned())
    }

    /// Returns a text, or NULL. A CSV file has nothing for either NULL or an empty text.
    pub(crate) fn optional(value: Option<&str>) -> Self {
        value.map_or(Self::Null, Self::text)
    }

    /// Returns a / b of two amounts of money, NULL where b is 0.
    pub(crate) fn money_ratio(a: i128, b: i128) -> Self {
        let float = |amount: i128| to_f64(amount, MONEY_SCALE);
        Self::float((b != 0).then(|| float(a) / float(b)))
    }

    /// Returns a / b, NULL where b is 0.
    pub(crate) fn ratio(a: i64, b: i64) -> Self {
        Self::float((b != 0).then(|| a as f64 / b as f64))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Null => text.is_empty(),
            Self::Flag(flag) => text == flag.to_string(),
            Self::Int(number) => text == number.to_string(),
            Self::Date(day) => text == day.to_string(),
            Self::Instant(micros) => {
                text.len() > "2026-01-31".len() && parse_instant(text) == Some(*micros)
            }
            Self::Whole(number) => text == number.to_string(),
            Self::Text(expected) => text == expected,
            Self::Money(amount) => parse_decimal(text, MONEY_SCALE) == Some(*amount),
            Self::Float(expected) => text
                .parse::<f64>()
                .is_ok_and(|got| (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0)),
        }
    }
}

/// The rows of a metric in the required order.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Describes what differs between these rows and a CSV with a header; `None` if they agree.
    pub(crate) fn difference(&self, csv: &[u8]) -> Option<String> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
        let header = reader.headers().expect("a header").clone();
        if header.iter().ne(self.columns.iter().copied()) {
            return Some(format!("columns: expected {:?}, got {header:?}", self.columns));
        }
        let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
        if rows.len() != self.rows.len() {
            return Some(format!("expected {} rows, got {}", self.rows.len(), rows.len()));
        }
        let mut lines = Vec::new();
        for (number, (expected, got)) in self.rows.iter().zip(&rows).enumerate() {
            for ((column, cell), text) in self.columns.iter().zip(expected).zip(got) {
                if !cell.matches(text) {
                    let position = format!("row {}, {column}", number + 1);
                    lines.push(format!("{position}: expected {cell:?}, got \"{text}\""));
                }
            }
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

#[test]
fn cells_are_compared_by_kind() {
    let table = Table {
        columns: vec!["d", "n", "x", "m", "f", "z", "i", "t"],
        rows: vec![vec![
            Cell::Date(Day(0)),
            Cell::Int(3),
            Cell::ratio(1, 3),
            Cell::Money(-1_500_000_000_000),
            Cell::Flag(true),
            Cell::ratio(1, 0),
            Cell::Instant(1_500_000),
            Cell::text("a"),
        ]],
    };
    let header = "d,n,x,m,f,z,i,t";
    let check = |row: &str| table.difference(format!("{header}\n{row}\n").as_bytes());
    let right = "1970-01-01,3,0.33333333333333,-1.500000000000,true,,1970-01-01T00:00:01.5Z,a";
    assert_eq!(check(right), None);
    for wrong in [
        "1970-01-02,3,0.33333333333333,-1.5,true,",
        "1970-01-01,3.0,0.33333333333333,-1.5,true,",
        "1970-01-01,3,0.3333,-1.5,true,",
        "1970-01-01,3,0.33333333333333,-1.500000000001,true,",
        "1970-01-01,3,0.33333333333333,-1.5,false,",
        "1970-01-01,3,0.33333333333333,-1.5,true,0",
    ] {
        let row = format!("{wrong},1970-01-01T00:00:01.5Z,a");
        assert!(check(&row).is_some(), "{row}");
    }
    for wrong in ["1970-01-01T00:00:01Z,a", "1970-01-01,a", "1970-01-01T00:00:01.5Z,"] {
        let row = format!("1970-01-01,3,0.33333333333333,-1.5,true,,{wrong}");
        assert!(check(&row).is_some(), "{row}");
    }
    assert!(table.difference(b"d,n,x,m,f,z,i\n").is_some());
    assert!(table.difference(b"d,n,x,m,f,z,i,t\n").is_some());
}
