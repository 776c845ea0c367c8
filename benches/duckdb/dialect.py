"""Translates Rapport's queries into the SQL of DuckDB."""

import re
from pathlib import Path

HERE = Path(__file__).parent
QUERIES = HERE.parent.parent / "queries"

# An argument with at most one nested pair of brackets.
ARGUMENT = r"(?:[^()]|\([^()]*\))*"
# The window frame of trailing_sum and trailing_deviation.
TRAILING_FRAME = r"RANGE BETWEEN INTERVAL \3 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING"

REWRITES = [
    (r"CAST\((\$as_of|(?:\w+\.)?(?:since|registered|live|\w+_at|first_\w+|last_\w+)) AS BIGINT\)", r"epoch_us(\1)"),
    (r"/ 86400000000", "// 86400000000"),
    (r"CAST\(CAST\(\$as_of AS DATE\) AS INT\)", "date_diff('day', DATE '1970-01-01', $as_of)"),
    (r"CAST\(((?:\w+\.)?(?:event_date|sunset_on)) AS INT\)", r"date_diff('day', DATE '1970-01-01', \1)"),
    (rf"checked_sum\(({ARGUMENT})\)(\s+FILTER \({ARGUMENT}\))?(\s+OVER \({ARGUMENT}\))?", r"coalesce(sum(\1)\2\3, 0)"),
    (rf"\b(gini|hhi)\((\w+)\)(\s+FILTER \({ARGUMENT}\))?", r"\1_of(list(\2)\3)"),
    (r"\blast_value\(", "last("),
    # `at` is a reserved word in DuckDB.
    (r"\bat\b", '"at"'),
    (
        r"trailing_sum\(([\w.]+), ([\w.]+), (\d+)\)\s+OVER own",
        rf"coalesce(sum(\1) OVER (own {TRAILING_FRAME}), 0)",
    ),
    (
        rf"trailing_deviation\((\w+), (\w+), (\d+)\)\s+OVER \(({ARGUMENT})\)",
        rf"CASE WHEN count(\1) OVER (\4 {TRAILING_FRAME}) < 7 THEN 0 ELSE mad(\1) OVER (\4 {TRAILING_FRAME}) END",
    ),
    (
        rf"cusum\((\w+)\)\s+OVER \(({ARGUMENT})\)",
        r"list_reduce(list(\1) OVER (\2), lambda c, z: least(10, greatest(0, c + coalesce(z, 0.5) - 0.5)), CAST(0 AS DOUBLE))",
    ),
]


class Query:
    """One file of `queries/` and its SQL for DuckDB."""

    def __init__(self, path, as_of):
        text = path.read_text()
        header, _, sql = text.rpartition("---*/")
        self.name = path.stem
        self.rapport = sql if header else text
        self.keep = "\nkeep = true" in header
        self.metric = path.parent.name == "metrics"
        variant = HERE / "duckdb_variants" / path.name
        self.same_text = not variant.exists()
        duck = self.rapport if self.same_text else variant.read_text()
        for pattern, replacement in REWRITES:
            duck = re.sub(pattern, replacement, duck)
        self.duck = duck.replace("$as_of", f"TIMESTAMP '{as_of} 00:00:00'")

    def ask_about(self, partner):
        """Puts a partner in the place of `$partner`."""
        literal = "'" + partner.replace("'", "''") + "'"
        self.rapport = self.rapport.replace("$partner", literal)
        self.duck = self.duck.replace("$partner", literal)


def queries(folder, as_of):
    """Returns the queries of a folder, by name."""
    return {path.stem: Query(path, as_of) for path in sorted(Path(folder).glob("*.sql"))}
