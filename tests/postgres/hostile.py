"""Whoever does not keep to the rules of `rapport serve --postgres`: writes, files, and bytes that are
no messages.

usage: hostile.py writes|messages|cancels|strangers|plain PORT USER PASSWORD FOLDER

Prints what came of it as JSON, one object. FOLDER is where a write would leave a file.
"""

import json
import os
import socket
import struct
import sys
import threading
import time

import psycopg

SLOW = b"SELECT count(*) FROM generate_series(1, 100000) a CROSS JOIN generate_series(1, 1000000) b"


def connect(port, user, password):
    return psycopg.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname="rapport", autocommit=True
    )


def code(result):
    """Returns the code of an error, or what came instead of one."""
    found = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    return found.decode() if found else psycopg.pq.ExecStatus(result.status).name


def message(result):
    found = result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY)
    return found.decode() if found else ""


def writes(port, user, password, folder):
    """Sends each statement by the simple protocol, by the extended one, and prepared by its name."""
    target = os.path.join(folder, "leaked.csv")
    statements = [
        "INSERT INTO partners VALUES (1)",
        "UPDATE partners SET partner_id = 'a'",
        "DELETE FROM partners",
        "MERGE INTO partners USING growth ON true WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE partners",
        "CREATE TABLE copied (a int)",
        "CREATE TABLE copied AS SELECT 1 AS a",
        "CREATE VIEW seen AS SELECT 1 AS a",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION one() RETURNS int RETURN 1",
        "ALTER TABLE partners ADD COLUMN a int",
        "DROP TABLE partners",
        "DROP VIEW growth",
        "SELECT * INTO copied FROM partners",
        "WITH new AS (INSERT INTO partners VALUES (1) RETURNING *) SELECT * FROM new",
        "WITH new AS (SELECT 1) INSERT INTO partners SELECT * FROM new",
        f"COPY partners TO '{target}'",
        f"COPY (SELECT 1) TO '{target}'",
        "COPY (SELECT 1) TO STDOUT",
        f"COPY (SELECT 1) TO PROGRAM 'touch {target}'",
        f"COPY (SELECT 1) TO '{target}' STORED AS CSV",
        "COPY partners FROM '/etc/passwd'",
        "COPY partners FROM STDIN",
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
        f"CREATE EXTERNAL TABLE leaked (a int) STORED AS CSV LOCATION '{folder}/'",
        "EXPLAIN INSERT INTO partners VALUES (1)",
        "EXPLAIN ANALYZE INSERT INTO partners VALUES (1)",
        "EXPLAIN ANALYZE CREATE TABLE copied AS SELECT 1 AS a",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "DECLARE c CURSOR FOR DELETE FROM partners",
        "PREPARE p AS DELETE FROM partners",
        "CALL nothing()",
        "VACUUM",
        "ANALYZE partners",
        "GRANT SELECT ON partners TO eve",
        "SET datafusion.execution.batch_size = 1",
        "SET \"datafusion\".\"catalog\".\"location\" = '/etc'",
        "SET datafusion.catalog.format TO 'csv'",
        "SELECT * FROM '/etc/passwd'",
        'SELECT * FROM "/etc/passwd"',
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM \"https://example.com/a.csv\"",
        "SELECT * FROM \"s3://bucket/a.parquet\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_class, '/etc/passwd'",
    ]
    with connect(port, user, password) as connection:
        session = connection.pgconn
        before = session.exec_(b"SHOW rapport.versions").get_value(0, 0).decode()
        answers = {}
        for number, text in enumerate(statements):
            name = f"s{number}".encode()
            prepared = session.prepare(name, text.encode())
            if prepared.status == psycopg.pq.ExecStatus.COMMAND_OK:
                prepared = session.exec_prepared(name, [])
            answers[text] = [
                code(session.exec_(text.encode())),
                code(session.exec_params(text.encode(), [])),
                code(prepared),
            ]
        several = {
            text: [code(session.exec_(text.encode())), code(session.exec_params(text.encode(), []))]
            for text in [
                "SELECT 1; DELETE FROM partners",
                "DELETE FROM partners; SELECT 1",
                "BEGIN; DELETE FROM partners; COMMIT",
            ]
        }
        session.exec_(b"ROLLBACK")
        # Neither of these opens a way to write later.
        session.exec_(b"SET default_transaction_read_only = off")
        session.exec_(b"SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        session.exec_(b"BEGIN READ WRITE")
        unlocked = code(session.exec_(b"DELETE FROM partners"))
        session.exec_(b"ROLLBACK")
    with connect(port, user, password) as connection:
        after = connection.pgconn.exec_(b"SHOW rapport.versions").get_value(0, 0).decode()
    return {
        "answers": answers,
        "several": several,
        "unlocked": unlocked,
        "unchanged": before == after,
        "files": os.listdir(folder),
    }


def frame(kind, body=b"", length=None):
    return kind + struct.pack(">I", len(body) + 4 if length is None else length) + body


def read_all(stream, seconds):
    """Reads until the other side closes. Returns the bytes, and whether it did so in time."""
    stream.settimeout(seconds)
    found = b""
    try:
        while chunk := stream.recv(65536):
            found += chunk
    except TimeoutError:
        return found, False
    except OSError:
        pass
    return found, True


def messages(port, user, password, _folder):
    """Sends bytes that are no messages, after a good sign-in. Each connection ends with an error."""
    query = frame(b"Q", b"SELECT 1\0")
    cases = {
        "2 GB": frame(b"Q", length=0x7FFFFFFF),
        "4 GB": frame(b"Q", length=0xFFFFFFFF),
        "above the limit": frame(b"Q", b"SELECT 1\0" + b" " * (5 << 20)),
        "no length": frame(b"Q", length=0),
        "a query without its end": frame(b"Q", b"SELECT 1"),
        "a query with more after it": frame(b"Q", b"SELECT 1\0SELECT 2\0"),
        "parse without types": frame(b"P", b"s\0SELECT 1\0"),
        "parse with 65535 types": frame(b"P", b"s\0SELECT 1\0\xff\xff"),
        "bind of nothing": frame(b"B"),
        "bind with 65535 values": frame(b"B", b"\0\0\0\0\xff\xff"),
        "bind with a value of 2 GB": frame(b"B", b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        "close without a kind": frame(b"C"),
        "describe without a name": frame(b"D", b"S"),
        "execute without a count": frame(b"E", b"\0\0\0"),
        # The server tells its processes of a cancel by a message like this; a query hides in it.
        "a cancel of the inside": frame(b"\x01", query),
        "a call of a function": frame(b"F", b"\0\0\0\x01\0\0\0\0\0\0"),
        "an unknown type": frame(b"~", b"a"),
        "a password again": frame(b"p", b"a\0"),
        "data of no copy": frame(b"d", b"a"),
    }
    answers = {}
    for name, sent in cases.items():
        with connect(port, user, password) as connection:
            stream = socket.socket(fileno=os.dup(connection.fileno()))
            stream.setblocking(True)
            try:
                stream.sendall(sent)
            except OSError:
                # The server has closed before it read everything.
                pass
            found, closed = read_all(stream, 30)
            stream.close()
        answers[name] = {"refused": b"C08P01\0" in found, "closed": closed, "rows": b"D" == found[:1]}
    with connect(port, user, password) as connection:
        connection.execute("BEGIN")
        alive = connection.execute("SELECT 1").fetchone()[0]
        many = code(connection.pgconn.exec_params(b"SELECT $4000000000", []))
        connection.execute("ROLLBACK")
        wide = ", ".join(["1"] * 2000).encode()
        columns = code(connection.pgconn.exec_(b"SELECT " + wide))
    return {"answers": answers, "alive": alive, "many": many, "columns": columns}


def cancels(port, user, password, _folder):
    """Gives up queries: with the secret of the connection, and with another."""

    def run(statement_timeout, give_up):
        with connect(port, user, password) as connection:
            connection.execute(f"SET statement_timeout = {statement_timeout}")
            timer = threading.Timer(1.5, give_up, [connection])
            timer.start()
            begun = time.monotonic()
            result = connection.pgconn.exec_(SLOW)
            seconds = time.monotonic() - begun
            timer.join()
            again = connection.execute("SELECT 1").fetchone()[0]
        return {"code": code(result), "message": message(result), "seconds": seconds, "again": again}

    def wrong(connection):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            process = connection.info.backend_pid
            # Each of its own connection, too: a number without its secret says nothing.
            for secret in [0, 1, -1]:
                with socket.create_connection(("127.0.0.1", port)) as other:
                    other.sendall(struct.pack(">IIii", 16, 80877102, process, secret))
            stream.sendall(struct.pack(">IIi", 12, 80877102, process))
            found, closed = read_all(stream, 10)
            told.append([found.decode("latin-1"), closed])

    told = []
    right = run(30_000, lambda connection: connection.cancel_safe())
    other = run(5_000, wrong)
    # A cancel that comes when nothing runs does not end the next query.
    with connect(port, user, password) as connection:
        connection.cancel_safe()
        time.sleep(0.5)
        idle = connection.execute("SELECT 1").fetchone()[0]
    return {"right": right, "wrong": other, "idle": idle, "told": told}


def strangers(port, user, password, _folder):
    """Does what nobody who has not signed in may do."""
    startup = struct.pack(">I", 196608) + f"user\0{user}\0database\0rapport\0\0".encode()
    startup = struct.pack(">I", len(startup) + 4) + startup

    def exchange(*parts):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            for part in parts[:-1]:
                stream.sendall(part)
                stream.settimeout(10)
                stream.recv(4096)
            stream.sendall(parts[-1])
            found, closed = read_all(stream, 10)
            return {"found": found.decode("latin-1"), "closed": closed}

    initial = b"SCRAM-SHA-256\0" + struct.pack(">I", 11) + b"n,,n=,r=abc"
    answers = {
        "2 GB at once": exchange(struct.pack(">II", 0x7FFFFFFF, 196608)),
        "a startup of 20,000 bytes": exchange(struct.pack(">II", 20_000, 196608)),
        "another protocol": exchange(b"GET / HTTP/1.1\r\n\r\n"),
        "2 GB of password": exchange(startup, frame(b"p", length=0x7FFFFFFF)),
        "5,000 bytes of password": exchange(startup, frame(b"p", b"a" * 5_000)),
        "a query instead": exchange(startup, frame(b"Q", b"SELECT 1\0")),
        "another mechanism": exchange(startup, frame(b"p", b"PLAIN\0\0\0\0\x01a")),
        "a query after the first half": exchange(
            startup, frame(b"p", initial), frame(b"Q", b"SELECT 1\0")
        ),
        "a proof of nothing": exchange(startup, frame(b"p", initial), frame(b"p", b"c=biws,r=abc")),
        "no user": exchange(struct.pack(">III", 9, 196608, 0)[:9]),
    }
    long = struct.pack(">I", 196608) + b"user\0" + b"u" * 5_000 + b"\0\0"
    answers["a long user"] = exchange(struct.pack(">I", len(long) + 4) + long)
    # So many who say nothing: those above the number are closed at once, the others after a while.
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(90)]
    time.sleep(3)
    early = sum(1 for stream in silent if is_closed(stream))
    begun = time.monotonic()
    while not all(is_closed(stream) for stream in silent) and time.monotonic() - begun < 60:
        time.sleep(0.5)
    late = sum(1 for stream in silent if is_closed(stream))
    for stream in silent:
        stream.close()
    with connect(port, user, password) as connection:
        alive = connection.execute("SELECT 1").fetchone()[0]
    return {"answers": answers, "early": early, "late": late, "alive": alive}


def is_closed(stream):
    stream.setblocking(False)
    try:
        return stream.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def plain(port, user, _password, _folder):
    """Talks in plain text to a server with a certificate."""
    startup = struct.pack(">I", 196608) + f"user\0{user}\0database\0rapport\0\0".encode()
    startup = struct.pack(">I", len(startup) + 4) + startup
    ssl_request = struct.pack(">II", 8, 80877103)

    def exchange(first, after=b""):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.sendall(first)
            if after:
                stream.settimeout(10)
                answer = stream.recv(1)
                stream.sendall(after)
            else:
                answer = b""
            found, closed = read_all(stream, 30)
            return {"answer": answer.decode(), "found": found.decode("latin-1"), "closed": closed}

    return {
        "at once": exchange(startup),
        "after the offer of TLS": exchange(ssl_request, startup),
        "with the request for TLS": exchange(ssl_request + startup),
        "a broken handshake": exchange(ssl_request, b"\x16\x03\x01\x00\x05abcde" + startup),
        "after GSS": exchange(struct.pack(">II", 8, 80877104), startup),
    }


def main():
    kind, port, user, password, folder = sys.argv[1:]
    known = {
        "writes": writes,
        "messages": messages,
        "cancels": cancels,
        "strangers": strangers,
        "plain": plain,
    }
    print(json.dumps(known[kind](int(port), user, password, folder)))


main()
