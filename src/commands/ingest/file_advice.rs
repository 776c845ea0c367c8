//! Says what a file looks like that was rejected, and which command reads it. It quotes names of
//! columns and fields, and no values.

use domain::format::joined_with_and;
use domain::{Stream, printable};
use ingest::{Delimited, FileFormat, FileShape, RecordFit};

/// The columns that are named of a CSV.
const MOST_COLUMNS: usize = 12;

/// A rejected file, as it was loaded.
pub(super) struct RejectedFile<'a> {
    /// How the command line names it; `None` for what came through a pipe.
    pub(super) path: Option<&'a str>,
    /// The command that decompresses it.
    pub(super) decompress: Option<&'static str>,
    pub(super) stream: Stream,
    pub(super) mapping: Option<&'a str>,
    /// Whether `rapport ingest try` has shown its records.
    pub(super) was_tried: bool,
}

/// Returns what a file looks like in one word, for scripts.
pub(super) fn format_name(format: &FileFormat) -> &'static str {
    match &format.shape {
        FileShape::Blank => "blank",
        FileShape::Container(_) => "container",
        FileShape::Utf16 => "utf-16",
        FileShape::NotUtf8 => "not-utf-8",
        FileShape::Binary => "binary",
        FileShape::Html => "html",
        FileShape::Xml => "xml",
        FileShape::Delimited(_) => "csv",
        FileShape::JsonArray => "json-array",
        FileShape::JsonDocument => "json-document",
        FileShape::JsonWrapper { .. } => "json-wrapper",
        FileShape::JsonLines => "json-lines",
        FileShape::BrokenJson { .. } => "broken-json",
        FileShape::TextLines => "text-lines",
    }
}

impl RejectedFile<'_> {
    /// Returns a sentence on what the file looks like, and one on what to do; an empty text where
    /// the rules that were broken say it all.
    pub(super) fn advice(&self, format: &FileFormat) -> String {
        let load = self.load_command(format.fit.as_ref());
        let fit = self.fit(format.fit.as_ref());
        match &format.shape {
            FileShape::Blank => "it holds nothing but empty lines".to_owned(),
            FileShape::Container(container) => {
                let name = container.name;
                // tar decompresses by itself; the others can't read what is compressed again.
                let can_unpack = self.decompress.is_none() || name == "a tar archive";
                match container.unpack.zip(self.path).filter(|_| can_unpack) {
                    Some((unpack, path)) => {
                        let unpack = unpack.replace("{}", &quoted(path));
                        let unpack = unpack.replace("{sql}", &in_sql(path));
                        format!("it is {name}. Unpack it: {unpack} | {load} -")
                    }
                    None => format!("it is {name}: write its records as JSON, one a line"),
                }
            }
            FileShape::Utf16 => {
                let piped = self.piped("iconv -f UTF-16 -t UTF-8", &load);
                format!("it is text in UTF-16, and UTF-8 is due: {piped}")
            }
            FileShape::NotUtf8 => {
                let piped = self.piped("iconv -f LATIN1 -t UTF-8", &load);
                format!("it is text that is no UTF-8; if it is Latin-1: {piped}")
            }
            FileShape::Binary => {
                "it is binary and holds no lines of text; Avro is read from Kafka \
                                  only. Write its records as JSON, one a line"
                    .to_owned()
            }
            FileShape::Html => {
                "it is an HTML page, perhaps the log-in or error page of the server \
                                that it was fetched from: fetch it again"
                    .to_owned()
            }
            FileShape::Xml => "it is XML: write its records as JSON, one a line".to_owned(),
            FileShape::Delimited(delimited) => self.delimited(delimited),
            FileShape::JsonArray => {
                let piped = self.piped("jq -c '.[]'", &load);
                format!("it is one JSON array, and one object a line is due{fit}: {piped}")
            }
            FileShape::JsonDocument => {
                let piped = self.piped("jq -c .", &load);
                let of_lines = "it is JSON that is spread over several lines";
                format!("{of_lines}, and one object a line is due{fit}: {piped}")
            }
            FileShape::JsonWrapper { member } => {
                let name = member.as_deref().map(printable);
                let under = name.as_ref().map_or_else(String::new, |n| format!(" under \"{n}\""));
                let path = name.as_deref().map_or_else(|| ".NAME[]".to_owned(), jq_path);
                let piped = self.piped(&format!("jq -c '{path}'"), &load);
                format!(
                    "it is a JSON object with a list of records{under}, and one of them a line is due{fit}: {piped}"
                )
            }
            FileShape::BrokenJson { is_cut: true } => {
                "it begins like JSON and ends within its first record, so it is not whole: fetch \
                 it again"
                    .to_owned()
            }
            FileShape::BrokenJson { is_cut: false } => {
                "it begins like JSON and can't be read as such: the broken rule says where"
                    .to_owned()
            }
            FileShape::JsonLines | FileShape::TextLines => self.lines(format),
        }
    }

    /// Returns the command that loads what fits.
    fn load_command(&self, fit: Option<&RecordFit>) -> String {
        let options = match (fit, self.mapping) {
            (Some(RecordFit::Recipes(recipes)), given) => {
                let given = given.filter(|given| is_among(recipes, given));
                let first = recipes.first().map(|(name, _)| *name);
                format!("--mapping {}", given.or(first).unwrap_or("RECIPE"))
            }
            (Some(RecordFit::Stream(stream)), Some(_)) => {
                format!("--mapping none --stream {stream}")
            }
            (Some(RecordFit::Stream(stream)), None) => format!("--stream {stream}"),
            (None, Some(mapping)) => {
                format!("--stream {} --mapping {}", self.stream, quoted(mapping))
            }
            (None, None) => format!("--stream {}", self.stream),
        };
        format!("rapport ingest load {options}")
    }

    /// Returns a pipeline that puts the file through a filter into a load.
    fn piped(&self, filter: &str, load: &str) -> String {
        match (self.path.map(quoted), self.decompress) {
            (Some(path), None) => format!("{filter} {path} | {load} -"),
            (Some(path), Some(decompress)) => format!("{decompress} {path} | {filter} | {load} -"),
            (None, None) => format!("… | {filter} | {load} -"),
            (None, Some(decompress)) => format!("… | {decompress} | {filter} | {load} -"),
        }
    }

    /// Returns what accepts the records, to be added to a sentence.
    fn fit(&self, fit: Option<&RecordFit>) -> String {
        match fit {
            Some(RecordFit::Stream(stream)) if *stream == self.stream => String::new(),
            Some(RecordFit::Stream(stream)) => format!(" (its records fit {stream})"),
            Some(RecordFit::Recipes(recipes)) => {
                format!(" (its records fit {})", recipe_names(recipes))
            }
            None => String::new(),
        }
    }

    fn delimited(&self, delimited: &Delimited) -> String {
        let Delimited { delimiter, columns, width } = delimited;
        let (kind, option) = match delimiter {
            ',' => ("a CSV", "--icsv"),
            ';' => ("a CSV with semicolons", "--icsv --ifs ';'"),
            '\t' => ("a table with tabs", "--itsv"),
            _ => ("a table with |", "--icsv --ifs '|'"),
        };
        let name = |name: &String| match name.contains(',') {
            true => format!("\"{}\"", printable(name)),
            false => printable(name).into_owned(),
        };
        let names = columns.iter().take(MOST_COLUMNS).map(name).collect::<Vec<_>>().join(", ");
        let more = match columns.len().saturating_sub(MOST_COLUMNS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let of = if columns.is_empty() {
            format!("{width} columns (whether its first line names them can't be told)")
        } else {
            format!("the columns {names}{more}")
        };
        let piped = self.piped(&format!("mlr {option} --ojsonl cat"), &self.load_command(None));
        format!(
            "it looks like {kind} with {of}, and one JSON object a line is due, with the fields of \
             `rapport ingest fields {}` or through a mapping: {piped}",
            self.stream
        )
    }

    /// Returns what to do with lines that are no events.
    fn lines(&self, format: &FileFormat) -> String {
        let file = self.path.map_or_else(|| "FILE".to_owned(), quoted);
        let load = self.load_command(format.fit.as_ref());
        let tries = |options: &str| format!("rapport ingest try {options} {file}");
        match (&format.fit, self.mapping) {
            (Some(RecordFit::Stream(stream)), Some(mapping)) => format!(
                "its records are events of {stream} already and need no mapping such as {}: {load} \
                 {file}",
                printable(mapping)
            ),
            // Its records may be too old, or too new.
            (Some(RecordFit::Stream(stream)), None) if *stream == self.stream => String::new(),
            (Some(RecordFit::Stream(stream)), None) => {
                format!("its records are events of {stream}: {load} {file}")
            }
            // The recipe that was used reads them, and some of them break a rule.
            (Some(RecordFit::Recipes(recipes)), Some(mapping)) if is_among(recipes, mapping) => {
                String::new()
            }
            (Some(RecordFit::Recipes(recipes)), _) => {
                format!("its records fit {}: {load} {file}", recipe_names(recipes))
            }
            (None, Some(_)) if self.was_tried => String::new(),
            (None, Some(mapping)) => format!(
                "what the mapping makes of each record: {}",
                tries(&format!("--stream {} --mapping {}", self.stream, quoted(mapping)))
            ),
            (None, None) if names_an_event(&format.fields) => format!(
                "it is JSON with the fields of an event: mend the values that break the rules \
                 (`rapport ingest fields {}`)",
                self.stream
            ),
            (None, None) => {
                let (what, input) = match format.shape {
                    FileShape::TextLines => ("it is text, no JSON", " that takes text"),
                    _ => ("it is JSON, one value a line", ""),
                };
                let names = format.fields.iter().map(|name| printable(name).into_owned());
                let names = names.collect::<Vec<_>>().join(", ");
                let fields = match names.as_str() {
                    "" => String::new(),
                    names => format!(", with the fields {names}"),
                };
                format!(
                    "{what}{fields}; no recipe fits it. `rapport ingest fields {}` lists what is \
                     due, and a mapping of your own{input} makes it so (`rapport ingest mappings \
                     --help`): {}",
                    self.stream,
                    tries(&format!("--stream {} --mapping MINE.jq", self.stream))
                )
            }
        }
    }
}

/// Returns whether a mapping is one of these recipes.
fn is_among(recipes: &[(&str, Option<Stream>)], mapping: &str) -> bool {
    recipes.iter().any(|(name, _)| *name == mapping)
}

/// Returns whether the fields are those that every event has.
fn names_an_event(fields: &[String]) -> bool {
    ["event_id", "partner_id", "occurred_at"].iter().all(|due| fields.iter().any(|f| f == due))
}

fn recipe_names(recipes: &[(&str, Option<Stream>)]) -> String {
    let names: Vec<String> = recipes.iter().map(|(name, _)| (*name).to_owned()).collect();
    let noun = if names.len() == 1 { "the recipe" } else { "the recipes" };
    format!("{noun} {}", joined_with_and(&names))
}

/// Returns the jq path of the elements of a member.
fn jq_path(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { format!(".{name}[]") } else { format!(".[\"{name}\"][]") }
}

/// Returns a path as a shell takes it.
fn quoted(path: &str) -> String {
    let path = printable(path);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) && !path.starts_with('-') {
        path.into_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// Returns a path as it stands within the quotes of a text of SQL, within a shell's double quotes.
fn in_sql(path: &str) -> String {
    let mut text = String::new();
    for c in printable(path).chars() {
        match c {
            '\'' => text.push_str("''"),
            '"' | '$' | '`' | '\\' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(shape: FileShape, fit: Option<RecordFit>, file: &RejectedFile<'_>) -> String {
        file.advice(&FileFormat { shape, fit, fields: vec!["id".to_owned()] })
    }

    const FILE: RejectedFile<'_> = RejectedFile {
        path: Some("my log.json"),
        decompress: None,
        stream: Stream::ApiCalls,
        mapping: None,
        was_tried: false,
    };

    #[test]
    fn the_command_reads_the_file() {
        #[track_caller]
        fn check(shape: FileShape, fit: Option<RecordFit>, file: &RejectedFile<'_>, end: &str) {
            let text = advice(shape, fit, file);
            assert!(text.ends_with(end), "{text}");
        }
        let kong = || Some(RecordFit::Recipes(vec![("kong-http-log", Some(Stream::ApiCalls))]));
        let tickets = || FileShape::JsonWrapper { member: Some("tickets".to_owned()) };
        check(
            FileShape::JsonArray,
            None,
            &FILE,
            ": jq -c '.[]' 'my log.json' | rapport ingest load --stream api-calls -",
        );
        check(
            FileShape::JsonArray,
            kong(),
            &FILE,
            "(its records fit the recipe kong-http-log): jq -c '.[]' 'my log.json' | rapport ingest load --mapping kong-http-log -",
        );
        check(
            tickets(),
            Some(RecordFit::Stream(Stream::SupportEvents)),
            &RejectedFile { path: None, decompress: Some("gzip -dc"), ..FILE },
            ": … | gzip -dc | jq -c '.tickets[]' | rapport ingest load --stream support-events -",
        );
        check(
            FileShape::JsonLines,
            kong(),
            &FILE,
            "rapport ingest load --mapping kong-http-log 'my log.json'",
        );
        check(
            FileShape::JsonLines,
            Some(RecordFit::Stream(Stream::ApiCalls)),
            &RejectedFile { mapping: Some("mine.jq"), ..FILE },
            "rapport ingest load --mapping none --stream api-calls 'my log.json'",
        );
        let same = Some(RecordFit::Stream(Stream::ApiCalls));
        assert_eq!(advice(FileShape::JsonLines, same, &FILE), "");
        let gzipped = RejectedFile { path: Some("a.gz"), decompress: Some("gzip -dc"), ..FILE };
        check(
            FileShape::Utf16,
            None,
            &gzipped,
            ": gzip -dc a.gz | iconv -f UTF-16 -t UTF-8 | rapport ingest load --stream api-calls -",
        );
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let csv = FileShape::Delimited(Delimited { delimiter: ';', columns, width: 2 });
        check(
            csv,
            None,
            &FILE,
            ": mlr --icsv --ifs ';' --ojsonl cat 'my log.json' | rapport ingest load --stream api-calls -",
        );
    }

    #[test]
    fn the_recipe_that_was_used_is_not_replaced_by_another() {
        let two = || {
            let stream = Some(Stream::ApiCalls);
            Some(RecordFit::Recipes(vec![("apache-combined", stream), ("nginx-combined", stream)]))
        };
        let nginx = RejectedFile { path: Some("a.log"), mapping: Some("nginx-combined"), ..FILE };
        assert_eq!(advice(FileShape::TextLines, two(), &nginx), "");
        let array = advice(FileShape::JsonArray, two(), &nginx);
        assert!(array.ends_with("rapport ingest load --mapping nginx-combined -"), "{array}");
        let other = RejectedFile { mapping: Some("kong-http-log"), ..nginx };
        let text = advice(FileShape::TextLines, two(), &other);
        assert!(text.ends_with("rapport ingest load --mapping apache-combined a.log"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told_as_it_is() {
        let cut = advice(FileShape::BrokenJson { is_cut: true }, None, &FILE);
        assert!(cut.starts_with("it begins like JSON and ends within its first record"), "{cut}");
        let broken = advice(FileShape::BrokenJson { is_cut: false }, None, &FILE);
        assert!(broken.ends_with("the broken rule says where"), "{broken}");
        let columns = vec!["No".to_owned(), "Customer, ID".to_owned()];
        let named = FileShape::Delimited(Delimited { delimiter: ',', columns, width: 2 });
        let named = advice(named, None, &FILE);
        assert!(named.contains("with the columns No, \"Customer, ID\", and one JSON"), "{named}");
        let bare =
            FileShape::Delimited(Delimited { delimiter: ',', columns: Vec::new(), width: 2 });
        let bare = advice(bare, None, &FILE);
        assert!(bare.contains("2 columns (whether its first line names them"), "{bare}");
        let fields = ["event_id", "partner_id", "occurred_at"].map(str::to_owned).to_vec();
        let event = FileFormat { shape: FileShape::JsonLines, fit: None, fields };
        let event = FILE.advice(&event);
        assert!(event.starts_with("it is JSON with the fields of an event"), "{event}");
    }

    #[test]
    fn duckdb_writes_instants_of_the_contract_and_takes_any_path() {
        let parquet = ingest::Container {
            name: "a Parquet file",
            unpack: Some("duckdb -c \"COPY (FROM '{sql}') TO '/dev/stdout'\""),
        };
        let file = RejectedFile { path: Some("it's $5/a.parquet"), ..FILE };
        let text = advice(FileShape::Container(parquet), None, &file);
        assert!(text.contains(r"(FROM 'it''s \$5/a.parquet')"), "{text}");
    }

    #[test]
    fn names_that_a_shell_would_read_are_quoted() {
        let check = |path: &str, expected: &str| assert_eq!(quoted(path), expected);
        check("logs/a-1.json.gz", "logs/a-1.json.gz");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(x)", "'$(x)'");
        check("-n", "'-n'");
        check("a\u{1b}[2J", r"'a\u{1b}[2J'");
    }

    #[test]
    fn paths_of_lists() {
        assert_eq!(jq_path("tickets"), ".tickets[]");
        assert_eq!(jq_path("my list"), ".[\"my list\"][]");
    }
}
