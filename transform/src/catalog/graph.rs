//! The dependency graph of the queries: the tables that each query reads.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Query};

/// The tables that each query of a catalog reads, by the query's name. A query that cannot be
/// parsed reads no tables here; its error appears where it runs.
#[derive(Debug, Clone)]
pub struct DependencyGraph(BTreeMap<String, Vec<String>>);

impl DependencyGraph {
    pub fn of(catalog: &Catalog) -> Self {
        Self(catalog.queries().map(|query| (query.name.clone(), tables_of(query))).collect())
    }

    /// Returns the sorted tables and queries that a query reads; a table reads none.
    pub fn reads(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the queries that read a table or query. Those of a table of events include the
    /// readers of its raw table.
    pub fn read_by(&self, name: &str) -> Vec<String> {
        let names_it = |table: &String| table == name || table.strip_prefix("raw.") == Some(name);
        let readers = self.0.iter().filter(|(_, tables)| tables.iter().any(names_it));
        readers.map(|(reader, _)| reader.clone()).collect()
    }

    /// Returns a query, followed by everything that it reads directly or indirectly, each once.
    pub fn upstream(&self, name: &str) -> Vec<String> {
        depth_first(name, |name| self.reads(name).to_vec())
    }

    /// Returns a query or table, followed by everything that reads it directly or indirectly, each
    /// once.
    pub fn downstream(&self, name: &str) -> Vec<String> {
        depth_first(name, |name| self.read_by(name))
    }

    /// Returns the shortest path from a query back to itself.
    pub fn cycle(&self, name: &str) -> Option<Vec<String>> {
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
    let mut tables = query.tables().unwrap_or_default().to_vec();
    tables.sort();
    tables
}

/// Returns everything that `next` leads to, depth first.
fn depth_first(name: &str, next: impl Fn(&str) -> Vec<String>) -> Vec<String> {
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

    /// Builds the graph of views, each given by its name and the tables that it reads.
    fn graph(reads: &[(&str, &str)]) -> DependencyGraph {
        let header = "/*---\ndescription = \"d\"\n[columns]\na = { type = \"Int64\" }\n---*/\n";
        let file = |(name, tables): &(&str, &str)| {
            (format!("views/{name}.sql"), format!("{header}SELECT a FROM {tables}"))
        };
        let files: Vec<(String, String)> = reads.iter().map(file).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        DependencyGraph::of(&Catalog::of_texts(&files))
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
        assert_eq!(graph.cycle("top"), None);
    }

    #[test]
    fn the_shortest_cycle() {
        let graph = graph(&[("a", "b, c"), ("b", "c"), ("c", "a"), ("d", "a")]);
        assert_eq!(graph.cycle("a").expect("a cycle"), ["a", "c", "a"]);
        assert_eq!(graph.cycle("b").expect("a cycle"), ["b", "c", "a", "b"]);
        assert_eq!(graph.cycle("d"), None);
    }
}
