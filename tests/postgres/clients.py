"""Clients of the tests of `rapport serve --postgres`: psycopg, SQLAlchemy and the JDBC driver.

usage: clients.py psycopg|sqlalchemy|jdbc PORT USER PASSWORD JARS

Prints what the client finds as JSON, one object. A statement that must be refused and is not ends it
with an error.
"""

import datetime
import decimal
import json
import sys


def plain(value):
    """Returns a value as JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    return value


def rows(found):
    return [[plain(value) for value in row] for row in found]


def psycopg_client(port, user, password):
    import psycopg

    def connect(**more):
        return psycopg.connect(
            host="127.0.0.1", port=port, user=user, password=password, dbname="rapport", **more
        )

    def code_of(connection, text, *values):
        try:
            connection.execute(text, *values)
        except psycopg.Error as error:
            connection.rollback()
            return error.sqlstate
        raise SystemExit(f"not refused: {text}")

    answer = {}
    with connect() as connection:
        answer["typed"] = rows(
            connection.execute(
                "SELECT %s::bigint + 1, %s::text, %s::date, %s::boolean, %s::numeric",
                (41, "it's \\' \"quoted\"", datetime.date(2026, 6, 1), True, decimal.Decimal("12.50")),
            )
        )
        answer["binary"] = rows(
            connection.execute(
                "SELECT calls, event_date FROM usage_day ORDER BY 1 DESC, 2 LIMIT 3", binary=True
            )
        )
        answer["text"] = rows(
            connection.execute("SELECT calls, event_date FROM usage_day ORDER BY 1 DESC, 2 LIMIT 3")
        )
        answer["any"] = rows(
            connection.execute(
                "SELECT count(*) FROM partners WHERE partner_id = ANY(%s)", (["nobody", "none"],)
            )
        )
        first = connection.execute("SELECT partner_id FROM partners ORDER BY 1 LIMIT 1").fetchone()[0]
        answer["parameter"] = rows(
            connection.execute("SELECT partner_id = %s FROM partners WHERE partner_id = %s", (first, first))
        )
        connection.commit()
        with connection.cursor("portions") as cursor:
            cursor.execute("SELECT partner_id FROM partners ORDER BY 1")
            answer["portions"] = [len(cursor.fetchmany(2)), len(cursor.fetchmany(1))]
        answer["refused"] = {
            text: code_of(connection, text)
            for text in [
                "SELEC 1",
                "SELECT * FROM nothing",
                "SELECT nothing FROM partners",
                "INSERT INTO partners VALUES (1)",
                "CREATE TABLE copied (a int)",
                "DROP TABLE partners",
                "SELECT * INTO copied FROM partners",
                "COPY partners TO '/tmp/partners.csv'",
                "COPY partners FROM STDIN",
                "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
                "SELECT * FROM '/etc/passwd'",
                "SELECT nothing(1)",
            ]
        }
        answer["parameter_refused"] = code_of(connection, "DELETE FROM partners WHERE partner_id = %s", ("a",))
        connection.execute("SET statement_timeout = 300")
        slow = "SELECT count(*) FROM generate_series(1, 100000) a CROSS JOIN generate_series(1, 1000000) b"
        answer["too_long"] = code_of(connection, slow)
        connection.execute("RESET statement_timeout")
        answer["alive"] = rows(connection.execute("SELECT 1"))
        versions = connection.execute("SHOW rapport.versions").fetchone()[0]
        answer["versions"] = len(json.loads(versions)) > 0
    try:
        psycopg.connect(host="127.0.0.1", port=port, user=user, password="wrong", dbname="rapport")
        raise SystemExit("a wrong password was let in")
    except psycopg.OperationalError as error:
        answer["wrong_password"] = "password authentication failed" in str(error)
    return answer


def sqlalchemy_client(port, user, password):
    import sqlalchemy

    url = sqlalchemy.URL.create(
        "postgresql+psycopg", user, password, host="127.0.0.1", port=port, database="rapport"
    )
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    columns = inspector.get_columns("growth")
    table = sqlalchemy.Table("growth", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        count = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar()
        filtered = connection.execute(sqlalchemy.select(table).limit(1)).keys()
    return {
        "schemas": inspector.get_schema_names(),
        "tables": inspector.get_table_names(),
        "views": inspector.get_view_names(),
        "raw": inspector.get_table_names(schema="raw"),
        "columns": [[c["name"], str(c["type"]), c["comment"]] for c in columns],
        "comment": inspector.get_table_comment("growth")["text"],
        "keys": [
            inspector.get_pk_constraint("growth")["constrained_columns"],
            inspector.get_foreign_keys("growth"),
            inspector.get_indexes("growth"),
            inspector.get_unique_constraints("growth"),
        ],
        "definition": bool(inspector.get_view_definition("growth")),
        "has": [inspector.has_table("growth"), inspector.has_table("nothing")],
        "count": count,
        "keys_of_rows": list(filtered),
    }


def jdbc_client(port, user, password, jars):
    import jpype
    import jpype.imports  # noqa: F401, lets Java's packages be imported

    jpype.startJVM("-Xmx256m", classpath=[f"{jars}/*"])
    from java.sql import DriverManager
    from java.util import Properties

    properties = Properties()
    properties.setProperty("user", user)
    properties.setProperty("password", password)
    connection = DriverManager.getConnection(f"jdbc:postgresql://127.0.0.1:{port}/rapport", properties)

    def collect(found, names):
        collected = []
        while found.next():
            collected.append([None if (v := found.getString(n)) is None else str(v) for n in names])
        found.close()
        return collected

    metadata = connection.getMetaData()
    answer = {
        "product": str(metadata.getDatabaseProductName()),
        "relations": collect(
            metadata.getTables(None, "public", "%", None), ["TABLE_NAME", "TABLE_TYPE", "REMARKS"]
        ),
        "columns": collect(
            metadata.getColumns(None, "public", "growth", "%"),
            ["COLUMN_NAME", "TYPE_NAME", "REMARKS", "ORDINAL_POSITION"],
        ),
        "keys": [
            collect(metadata.getPrimaryKeys(None, "public", "growth"), ["COLUMN_NAME"]),
            collect(metadata.getImportedKeys(None, "public", "growth"), ["FKCOLUMN_NAME"]),
            collect(metadata.getIndexInfo(None, "public", "growth", False, True), ["INDEX_NAME"]),
        ],
        "schemas": collect(metadata.getSchemas(), ["TABLE_SCHEM"]),
    }
    # What tools ask on their way; each must be answered, most of it by nothing.
    answer["asked"] = [
        len(collect(found, [])) if hasattr(found, "next") else str(found)
        for found in [
            metadata.getTypeInfo(),
            metadata.getFunctions(None, None, "%"),
            metadata.getExportedKeys(None, "public", "growth"),
            metadata.getVersionColumns(None, "public", "growth"),
            metadata.getTablePrivileges(None, "public", "growth"),
            metadata.getSQLKeywords(),
        ]
    ]
    statement = connection.prepareStatement("SELECT ?::date, ?::timestamp")
    from java.sql import Date, Timestamp

    statement.setDate(1, Date.valueOf("2026-06-01"))
    statement.setTimestamp(2, Timestamp.valueOf("2026-06-01 12:00:00"))
    found = statement.executeQuery()
    found.next()
    answer["day"] = str(found.getString(1))
    statement = connection.prepareStatement("SELECT ? + 1, ?, count(*) FROM growth")
    for _ in range(8):
        # From the fifth time on the driver asks for binary values.
        statement.setLong(1, 41)
        statement.setString(2, "x")
        found = statement.executeQuery()
        found.next()
        answer["prepared"] = [found.getLong(1), str(found.getString(2)), found.getLong(3)]
    connection.setAutoCommit(False)
    portions = connection.createStatement()
    portions.setFetchSize(2)
    answer["growth"] = []
    found = portions.executeQuery("SELECT * FROM growth")
    width = found.getMetaData().getColumnCount()
    while found.next():
        answer["growth"].append(
            [None if (v := found.getString(i + 1)) is None else str(v) for i in range(width)]
        )
    connection.commit()
    connection.setAutoCommit(True)
    from java.sql import SQLException

    try:
        connection.createStatement().executeUpdate("DELETE FROM growth")
        raise SystemExit("a write was not refused")
    except SQLException as error:
        answer["refused"] = str(error.getSQLState())
    connection.close()
    return answer


def main():
    kind, port, user, password, jars = sys.argv[1:]
    if kind == "psycopg":
        answer = psycopg_client(port, user, password)
    elif kind == "sqlalchemy":
        answer = sqlalchemy_client(port, user, password)
    else:
        answer = jdbc_client(port, user, password, jars)
    print(json.dumps(answer))


main()
