"""Reads the tables of a lake with deltalake and with DuckDB, and holds both against Rapport's rows."""

import sys
from pathlib import Path

import deltalake
import duckdb
from duckdb_extensions import import_extension


def differences(duck, table, ours):
    """Each reader's rows that Rapport has not, or has, or has another number of."""
    readers = {
        "deltalake": deltalake.DeltaTable(table).to_pyarrow_dataset(),
        "DuckDB": duck.sql(f"SELECT * FROM delta_scan('{table}')"),
    }
    for reader, rows in readers.items():
        duck.register("theirs", rows)
        columns = ", ".join(f'"{column}"' for column in duck.table("theirs").columns)
        theirs, rapports = f"SELECT {columns} FROM theirs", f"SELECT {columns} FROM '{ours}'"
        count = duck.sql(f"SELECT count(*) FROM ({theirs})").fetchone()[0]
        for left, right, what in ((theirs, rapports, "more"), (rapports, theirs, "fewer")):
            found = duck.sql(f"{left} EXCEPT ALL {right}").fetchall()
            if found:
                yield f"{table}: {reader} has {len(found)} rows {what} than Rapport, such as {found[0]}"
        print(f"{Path(table).name}: {count} rows by {reader}")


def main(root, folder):
    import_extension("delta")
    duck = duckdb.connect()
    duck.sql("LOAD delta")
    found = []
    for ours in sorted(Path(folder).glob("*.parquet")):
        table = f"{root}/{ours.stem.replace('.', '/')}"
        found.extend(differences(duck, table, ours))
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
