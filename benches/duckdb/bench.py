"""Compares Rapport with DuckDB on the events of one project, alternately.

(a) every query over raw events, and the rebuild of all rollups from them;
(b) the whole metric suite, from rollups and from raw events;
(c) the refresh after an event for one day, and the rebuild of all days.

The engines run alternately. A ratio is Rapport's time over DuckDB's in the same round; the median, the
least and the greatest are shown. Results are compared cell by cell.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import duckdb

from dialect import HERE, QUERIES, queries

STREAMS = ["api_calls", "partner_events", "billing_events", "support_events"]
# Tables of the configuration, and tables that only the log of the lake can give.
CONFIGURATION_TABLES = ["rates", "currencies", "sla", "sunsets", "settings", "arrivals", "dead_letters"]
# Rapport's percentiles come from histograms, DuckDB's are exact.
TOLERANCE = dict.fromkeys(["p95_of_a_month", "p95_by_hour", "partner_reliability", "product_usage", "sla_breaches"], 0.01)


class Rapport:
    """The program in a copy of the measured project."""

    def __init__(self, program, project, folder):
        self.program = program
        self.folder = folder
        for name in ("rapport.toml", "lake.key", "rates.csv", "sla.csv", "sunsets.csv"):
            if (project / name).exists():
                shutil.copy(project / name, folder / name)
        # Files of a lake never change, so a hard link serves as a copy.
        skip = shutil.ignore_patterns("rollup")
        shutil.copytree(project / "lake", folder / "lake", copy_function=os.link, ignore=skip)

    def run(self, *arguments, input_text=None):
        """Returns the standard error, and the seconds it took."""
        environment = {**os.environ, "RAPPORT_LOG": "transform=info"}
        start = time.perf_counter()
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env=environment,
            input=input_text,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"rapport {' '.join(arguments)}: {done.stderr}")
        return done.stderr, seconds

    def answers(self, event_queries, as_of, out):
        """Writes the rows of each query as Parquet into `out`, and returns the seconds of each."""
        script = ["\\format parquet", "\\timing on"]
        for query in event_queries:
            script += [f"\\o {out}/{query.name}.parquet", f"{query.rapport.strip().rstrip(';')};"]
        stderr, _ = self.run("sql", "-f", "-", "--as-of", as_of, input_text="\n".join(script))
        seconds = re.findall(r"rows? in ([\d.]+) s", stderr)
        return dict(zip((query.name for query in event_queries), map(float, seconds), strict=True))

    def refresh(self):
        """Returns the seconds of a refresh, and how many days of each rollup were computed."""
        stderr, _ = self.run("sql", "SELECT 1", "--format", "csv")
        found = re.findall(r'rollup="?(\w+)"? days=([1-9]\d*) rows=', stderr)
        seconds = re.search(r"rollups=\d+ milliseconds=(\d+)", stderr)[1]
        return int(seconds) / 1000, {name: int(days) for name, days in found}

    def delete_rollups(self):
        shutil.rmtree(self.folder / "lake/rollup", ignore_errors=True)

    def metrics(self, names, as_of, out):
        """Returns the seconds of a run of these metrics, including the start of the program."""
        return self.run("metrics", "run", *names, "--as-of", as_of, "--out", str(out), "--format", "parquet")[1]


class Duck:
    """DuckDB over the Parquet files that the raw tables name."""

    def __init__(self, rapport, threads, memory):
        self.db = duckdb.connect()
        self.db.execute((HERE / "macros.sql").read_text())
        self.db.execute(f"SET threads = {threads}; SET memory_limit = '{memory}'")
        for stream in STREAMS:
            self.db.execute(f"CREATE VIEW {stream} AS {each_event_once(self.db, rapport.folder / 'lake/raw' / stream)}")
        for table in CONFIGURATION_TABLES:
            out = rapport.folder / f"{table}.parquet"
            rapport.run("sql", "-f", "-", input_text=f"\\format parquet\n\\o {out}\nSELECT * FROM {table};")
            self.db.execute(f"CREATE TABLE {table} AS SELECT * FROM '{out}'")

    def busiest_partner(self):
        """Returns the partner with the most calls."""
        return self.db.execute(
            "SELECT partner_id FROM api_calls GROUP BY partner_id ORDER BY count(*) DESC, partner_id LIMIT 1"
        ).fetchone()[0]

    def timed(self, sql):
        start = time.perf_counter()
        self.db.execute(sql)
        return time.perf_counter() - start

    def answer(self, query, out):
        return self.timed(f"COPY ({query.duck}) TO '{out}/{query.name}.parquet' (FORMAT parquet, COMPRESSION zstd)")

    def rebuild(self, rollups, out):
        """Writes the rollups as Rapport does: a sorted file for each day."""
        seconds = 0.0
        for query in rollups:
            shutil.rmtree(f"{out}/{query.name}", ignore_errors=True)
            seconds += self.timed(
                f"COPY ({query.duck}) TO '{out}/{query.name}' "
                "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date))"
            )
        return seconds

    def define(self, all_queries):
        """Defines every query as a view over the raw events. Returns them in order, and those that DuckDB cannot run."""
        order, failed = [], dict(all_queries)
        while True:
            done = []
            for name, query in failed.items():
                try:
                    kind = "TEMP TABLE" if query.keep else "TEMP VIEW"
                    self.db.execute(f"CREATE {kind} {name} AS {query.duck}")
                    done.append(name)
                except duckdb.Error as error:
                    query.why = str(error).splitlines()[0]
            if not done:
                return order, failed
            order += [failed.pop(name) for name in done]

    def metrics(self, order, names, out):
        """Computes views with `keep` once, as Rapport does, then each metric."""
        seconds = 0.0
        for query in order:
            if query.keep:
                seconds += self.timed(f"CREATE OR REPLACE TEMP TABLE {query.name} AS {query.duck}")
        each = {name: self.answer(query, out) for query in order if (name := query.name) in names}
        return seconds + sum(each.values()), each


def each_event_once(db, table):
    """Returns a SELECT of compacted days as they are, and of other days without duplicates."""
    files = live_files(db, table)

    def read(compacted):
        names = [str(table / path) for path in sorted(files) if files[path] == compacted]
        # DuckDB truncates and compares a plain timestamp faster than one with a zone.
        return names and (
            "SELECT * REPLACE (make_timestamp(epoch_us(occurred_at)) AS occurred_at) "
            f"FROM read_parquet({names}, hive_partitioning = true, hive_types = {{'event_date': DATE}})"
        )

    once, others = read(True), read(False)
    if others:
        others = (
            f"(SELECT DISTINCT ON (event_date, partner_id, event_id) * FROM ({others}) "
            "ORDER BY topic, kafka_partition, kafka_offset)"
        )
    return " UNION ALL BY NAME ".join(part for part in (once, others) if part)


def live_files(db, table):
    """Returns the files of the newest version of a Delta table, and whether each is compacted."""
    log = table / "_delta_log"
    files, from_version = {}, 0
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        version = json.loads(pointer.read_text())["version"]
        found = db.execute(
            "SELECT add.path, map_contains(add.tags, 'copies') "
            f"FROM read_parquet('{log}/{version:020}.checkpoint*.parquet') WHERE add IS NOT NULL"
        )
        files, from_version = {path: bool(copies) for path, copies in found.fetchall()}, version + 1
    for entry in sorted(log.glob("*.json")):
        if entry.stem.isdigit() and int(entry.stem) >= from_version:
            for line in entry.read_text().splitlines():
                action = json.loads(line)
                if "remove" in action:
                    files.pop(action["remove"]["path"], None)
                if "add" in action:
                    files[action["add"]["path"]] = "copies" in (action["add"].get("tags") or {})
    return files


def differences(name, ours, theirs):
    """Counts the rows of one that are not in the other, columns matched by name, floats to nine digits."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    kinds = [
        {column: kind for column, kind, *_ in db.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()}
        for path in (ours, theirs)
    ]
    if missing := kinds[0].keys() ^ kinds[1].keys():
        sys.exit(f"{name}: only one engine has {', '.join(sorted(missing))}; see benches/duckdb/duckdb_variants")
    if tolerance := TOLERANCE.get(name):
        flags = [c for c, kind in kinds[0].items() if kind == "BOOLEAN"]
        floats = [c for c, kind in kinds[0].items() if kind in ("DOUBLE", "FLOAT")]
        keys = [c for c in kinds[0] if c not in flags + floats]
        differing = [f'coalesce(abs(a."{c}" - b."{c}") > {tolerance} * abs(b."{c}"), a."{c}" IS DISTINCT FROM b."{c}")'
               for c in floats]
        # A flag may differ only where its bound lies between the two percentiles.
        between = [f'a."{t}" BETWEEN least(a."{c}", b."{c}") AND greatest(a."{c}", b."{c}")'
                   for c in floats for t in floats if t != c]
        explained = " OR ".join(between) or "FALSE"
        differing += [f'(a."{c}" IS DISTINCT FROM b."{c}" AND NOT coalesce({explained}, FALSE))' for c in flags]
        differing = " OR ".join(differing)
        join = " AND ".join(f'a."{c}" IS NOT DISTINCT FROM b."{c}"' for c in keys)
        return db.execute(
            f"SELECT count(*) FROM '{ours}' a FULL JOIN '{theirs}' b ON {join} "
            f"WHERE a.{keys[0]} IS NULL OR b.{keys[0]} IS NULL OR {differing}"
        ).fetchone()[0]

    def cell(column):
        both = {kinds[0][column].split("(")[0], kinds[1].get(column, "").split("(")[0]}
        if both & {"DOUBLE", "FLOAT"}:
            return f'CAST(CAST("{column}" AS DOUBLE) AS DECIMAL(28, 9))'
        if both & {"DECIMAL", "HUGEINT", "BIGINT"}:
            return f'CAST("{column}" AS DECIMAL(38, 12))'
        if any(kind.startswith("TIMESTAMP") for kind in both):
            return f'epoch_us("{column}")'
        return f'CAST("{column}" AS VARCHAR)'

    cells = ", ".join(cell(column) for column in kinds[0])
    one, other = f"SELECT {cells} FROM '{ours}'", f"SELECT {cells} FROM '{theirs}'"
    return db.execute(
        f"SELECT (SELECT count(*) FROM ({one} EXCEPT ALL {other})) + (SELECT count(*) FROM ({other} EXCEPT ALL {one}))"
    ).fetchone()[0]


class Timings:
    """The seconds of both engines in each round."""

    def __init__(self):
        self.seconds = {}

    def add(self, what, ours, theirs):
        note(f"  {what}: {ours:.3f} s and {theirs:.3f} s")
        self.seconds.setdefault(what, []).append((ours, theirs))

    def rows(self):
        for what, pairs in self.seconds.items():
            ratios = sorted(a / b for a, b in pairs)
            yield {
                "what": what,
                "rapport_s": round(median(a for a, _ in pairs), 3),
                "duckdb_s": round(median(b for _, b in pairs), 3),
                "ratio": round(median(ratios), 3),
                "least": round(ratios[0], 3),
                "greatest": round(ratios[-1], 3),
            }


def size(folder):
    return sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path, help="a folder with rapport.toml and a lake, compacted")
    parser.add_argument("--as-of", required=True, help="a UTC midnight, such as 2026-07-01")
    parser.add_argument("--rapport", default="rapport", help="the program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", default="4GB", help="DuckDB's limit")
    parser.add_argument("--dir", help="where copies and results are kept during the run, on the project's disk")
    parser.add_argument("--only", default="abc", help="which of the three comparisons")
    parser.add_argument("--views", action="store_true",
                        help="DuckDB computes a view in every metric that reads it, none once for all of them")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    program = shutil.which(options.rapport) or sys.exit(f"{options.rapport}: no such program; give --rapport PATH")
    with tempfile.TemporaryDirectory(dir=options.dir or options.project) as folder:
        measured = measure(options, os.path.abspath(program), Path(folder).absolute())
    if options.format == "json":
        print(json.dumps(measured, indent=2))
    else:
        show(measured)
    return 1 if measured["different"] else 0


def measure(options, program, folder):
    copy, out = folder / "project", [folder / "rapport", folder / "duckdb"]
    for path in (copy, *out):
        path.mkdir()
    rapport = Rapport(program, options.project.absolute(), copy)
    duck = Duck(rapport, options.threads, options.memory)
    timings, different = Timings(), {}
    rollups = [query for query in queries(QUERIES / "rollups", options.as_of).values()]
    all_queries = {name: query for kind in ("rollups", "views", "metrics") for name, query in
             queries(QUERIES / kind, options.as_of).items()}
    for query in all_queries.values():
        query.keep &= not options.views
    order, unsupported = duck.define(all_queries)
    rollups = [query for query in rollups if query.name not in unsupported]
    event_queries = [*queries(HERE / "raw_event_queries", options.as_of).values(), *rollups]
    partner = duck.busiest_partner()
    for query in event_queries:
        query.ask_about(partner)
    # Metrics that both engines run.
    metrics = [query.name for query in order if query.metric]

    def rounds(parts):
        parts = [part for part in parts if part.__name__[-1] in options.only]
        for number in range(options.rounds if parts else 0):
            note(f"round {number + 1} of {options.rounds}")
            for part in parts:
                part(rapport, duck, options, (event_queries, rollups, order, metrics), out, timings, number)

    rounds([part_a, part_b])
    if "a" in options.only:
        compared = {query.name for query in event_queries}
        different |= {name: differences(name, *(f"{o}/{name}.parquet" for o in out)) for name in compared}
    if "b" in options.only:
        different |= {name: differences(name, *(f"{o}/{name}.parquet" for o in out)) for name in metrics}
    # This part adds events that DuckDB does not see.
    rounds([part_c])
    calls, rows = duck.db.execute("SELECT count(*), count(DISTINCT partner_id) FROM api_calls").fetchone()
    return {
        "calls": calls,
        "partners": rows,
        "days": duck.db.execute("SELECT count(DISTINCT event_date) FROM api_calls").fetchone()[0],
        "duckdb": duckdb.__version__,
        "threads": options.threads,
        "raw_bytes": size(copy / "lake/raw"),
        "rollup_bytes": {q.name: size(copy / "lake/rollup" / q.name) for q in rollups},
        "times": list(timings.rows()),
        "without_duckdb": {name: query.why for name, query in sorted(unsupported.items())},
        "different": {name: count for name, count in different.items() if count},
        "same": sorted(name for name, count in different.items() if not count),
    }


def part_a(rapport, duck, options, plan, out, timings, number):
    event_queries, rollups, *_ = plan
    pairs = [lambda: rapport.answers(event_queries, options.as_of, out[0]), lambda: {q.name: duck.answer(q, out[1]) for q in event_queries}]
    ours, theirs = run_alternately(pairs, number)
    for query in event_queries:
        timings.add(f"{'rollup' if query in rollups else 'events'} {query.name}", ours[query.name], theirs[query.name])

    def rebuild():
        rapport.delete_rollups()
        return rapport.refresh()[0]

    timings.add("rebuild of all rollups", *run_alternately([rebuild, lambda: duck.rebuild(rollups, out[1])], number))


def part_b(rapport, duck, options, plan, out, timings, number):
    *_, order, metrics = plan
    rapport.refresh()
    pairs = [lambda: rapport.metrics(metrics, options.as_of, out[0]), lambda: duck.metrics(order, metrics, out[1])[0]]
    timings.add(f"{len(metrics)} metrics", *run_alternately(pairs, number))


def part_c(rapport, _duck, options, _plan, _out, timings, number):
    """An event makes the day before stale. The column of DuckDB holds the rebuild of all days here."""
    rapport.delete_rollups()
    rebuild, days = rapport.refresh()
    last = f"{date.fromisoformat(options.as_of) - timedelta(days=1)}T00:00:00Z"
    call = {"event_id": f"bench-{number}-{time.time_ns()}", "partner_id": "bench", "occurred_at": last, "status": 200}
    day = rapport.folder / "call.ndjson"
    day.write_text(json.dumps(call) + "\n")
    rapport.run("ingest", "load", "--stream", "api-calls", str(day))
    one_day, stale = rapport.refresh()
    note(f"days computed: {days} then {stale}")
    timings.add("refresh of a day / rebuild", one_day, rebuild)


def run_alternately(pair, number):
    """Runs both; every second round runs the other one first."""
    order = (0, 1) if number % 2 == 0 else (1, 0)
    results = {at: pair[at]() for at in order}
    return results[0], results[1]


def note(text):
    print(text, file=sys.stderr)


def show(measured):
    print(f"{measured['calls']:,} calls of {measured['partners']:,} partners on {measured['days']} days, "
          f"{measured['threads']} threads, DuckDB {measured['duckdb']}\n")
    print(f"{'':40} {'Rapport s':>10} {'DuckDB s':>10} {'ratio':>8}   least to greatest")
    for row in measured["times"]:
        print(f"{row['what']:40} {row['rapport_s']:10.3f} {row['duckdb_s']:10.3f} {row['ratio']:8.3f}   "
              f"{row['least']:.3f} to {row['greatest']:.3f}")
    print(f"\nraw {measured['raw_bytes']:,} bytes; rollups " + ", ".join(
        f"{name} {count:,}" for name, count in measured["rollup_bytes"].items()))
    print(f"same results: {', '.join(measured['same'])}")
    for name, why in measured["without_duckdb"].items():
        print(f"not run by DuckDB: {name} ({why})")
    for name, count in measured["different"].items():
        print(f"DIFFERENT: {name}, {count} rows")


if __name__ == "__main__":
    sys.exit(main())
