//! Who reads whom: the tables that each query names, followed up to the streams and down to the
//! metrics.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Query};
use crate::statement::Statement;

/// The queries of a catalog, each with the tables it names. One that can't be parsed reads nothing
/// here; it says so where it is run.
#[derive(Debug, Clone)]
pub struct Graph(BTreeMap<String, Vec<String>>);

impl Graph {
    pub fn of(catalog: &Catalog) -> Self {
        Self(catalog.queries().map(|query| (query.name.clone(), tables_of(query))).collect())
    }

    /// The tables and queries that a query names, in order; of anything else none.
    pub fn reads(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The queries that name it, of a table of events with copies or without.
    pub fn read_by(&self, name: &str) -> Vec<String> {
        let names_it = |table: &String| table == name || table.strip_prefix("raw.") == Some(name);
        let readers = self.0.iter().filter(|(_, tables)| tables.iter().any(names_it));
        readers.map(|(reader, _)| reader.clone()).collect()
    }

    /// A query and all that it is made of, each once, itself first.
    pub fn upstream(&self, name: &str) -> Vec<String> {
        follow(name, |name| self.reads(name).to_vec())
    }

    /// A query or table and all that is made of it, each once, itself first.
    pub fn downstream(&self, name: &str) -> Vec<String> {
        follow(name, |name| self.read_by(name))
    }

    /// The shortest way from a query back to itself.
    pub fn circle(&self, name: &str) -> Option<Vec<String>> {
        let mut paths = vec![vec![name.to_owned()]];
        let mut seen: Vec<&str> = Vec::new();
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let last = path.last().map(String::as_str).unwrap_or_default();
                for next in self.reads(last) {
                    let mut path = path.clone();
                    path.push(next.clone());
                    if next == name {
                        return Some(path);
                    }
                    if !seen.contains(&next.as_str()) {
                        seen.push(next);
                        longer.push(path);
                    }
                }
            }
            paths = longer;
        }
        None
    }
}

fn tables_of(query: &Query) -> Vec<String> {
    let statement = Statement::parse(&query.sql, &query.file);
    let mut tables = statement.and_then(|s| s.tables(&query.file)).unwrap_or_default();
    tables.sort();
    tables
}

/// Whatever `next` leads to, depth first.
fn follow(name: &str, next: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        if !found.contains(&name) {
            waiting.extend(next(&name).into_iter().rev());
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries by name, each reading these tables.
    fn graph(reads: &[(&str, &str)]) -> Graph {
        let header = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";
        let file = |(name, tables): &(&str, &str)| {
            (format!("views/{name}.sql"), format!("{header}SELECT a FROM {tables}"))
        };
        let files: Vec<(String, String)> = reads.iter().map(file).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        Graph::of(&Catalog::of_texts(&files))
    }

    #[test]
    fn up_and_down_each_table_once() {
        let graph = graph(&[
            ("top", "middle, low, api_calls"),
            ("middle", "low"),
            ("low", "raw.api_calls"),
            ("broken", "top WHERE ("),
        ]);
        assert_eq!(graph.reads("top"), ["api_calls", "low", "middle"]);
        assert_eq!(graph.reads("broken"), [""; 0]);
        assert_eq!(graph.upstream("top"), ["top", "api_calls", "low", "raw.api_calls", "middle"]);
        assert_eq!(graph.upstream("api_calls"), ["api_calls"]);
        assert_eq!(graph.read_by("api_calls"), ["low", "top"]);
        assert_eq!(graph.read_by("raw.api_calls"), ["low"]);
        assert_eq!(graph.downstream("low"), ["low", "middle", "top"]);
        assert_eq!(graph.circle("top"), None);
    }

    #[test]
    fn the_shortest_circle() {
        let graph = graph(&[("a", "b, c"), ("b", "c"), ("c", "a"), ("d", "a")]);
        assert_eq!(graph.circle("a").expect("a circle"), ["a", "c", "a"]);
        assert_eq!(graph.circle("b").expect("a circle"), ["b", "c", "a", "b"]);
        assert_eq!(graph.circle("d"), None);
    }
}
