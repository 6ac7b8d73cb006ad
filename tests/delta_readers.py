"""Reads the tables of a data directory with other readers of Delta Lake, and prints what they see as JSON.

    python tests/delta_readers.py DATA_DIRECTORY

needs `pip install deltalake pyarrow duckdb`. For each table below `tables/`:

    version, files, rows   by deltalake (delta-rs)
    columns                name -> type in the Delta schema
    sums                   exact sums of the top-level decimals, as text
    epochs                 [first, last] of the column `epoch`
    transactions           application -> version
    parquet_rows           rows that DuckDB reads from the files the log names
    delta_scan_rows        rows by DuckDB's delta extension, or why there are none

It ends with code 1 if readers disagree.
"""

import decimal
import json
import pathlib
import sys

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

# Sums are exact: no rounding to the default 28 digits.
decimal.getcontext().prec = 100


def scanner():
    """DuckDB with its delta extension; or why it has none."""
    connection = duckdb.connect()
    try:
        connection.execute("LOAD delta")
        return connection, None
    except duckdb.Error:
        pass
    try:
        connection.execute("INSTALL delta; LOAD delta")
        return connection, None
    except duckdb.Error as error:
        return None, "the delta extension of DuckDB cannot be installed: " + str(error).splitlines()[0]


def exact_sum(column):
    return format(sum((value for value in column.to_pylist() if value is not None), decimal.Decimal(0)), "f")


def transactions(table, ledger_and_partition):
    found = {}
    for app in ledger_and_partition:
        version = table.transaction_version(app)
        if version is not None:
            found[app] = version
    return found


def apps_of(directory):
    """Applications that the JSON files and checkpoints of the log name."""
    apps = set()
    for log in (directory / "_delta_log").glob("*.json"):
        for line in log.read_text().splitlines():
            transaction = json.loads(line).get("txn")
            if transaction:
                apps.add(transaction["appId"])
    return sorted(apps)


def read(directory, connection, reason):
    table = DeltaTable(str(directory))
    rows = table.to_pyarrow_table()
    engine = pa.table(QueryBuilder().register("t", table).execute("SELECT * FROM t"))
    seen = {
        "version": table.version(),
        "files": len(table.file_uris()),
        "rows": rows.num_rows,
        "columns": {field.name: json.loads(field.type.to_json()) for field in table.schema().fields},
        "sums": {
            field.name: exact_sum(rows[field.name]) for field in rows.schema if pa.types.is_decimal(field.type)
        },
        "transactions": transactions(table, apps_of(directory)),
    }
    assert engine.num_rows == rows.num_rows, f"{directory}: {engine.num_rows} rows by DataFusion"
    for name, total in seen["sums"].items():
        assert exact_sum(engine[name]) == total, f"{directory}: {name} differs between readers"
    if "epoch" in rows.column_names and rows.num_rows:
        epochs = rows["epoch"].to_pylist()
        seen["epochs"] = [min(epochs), max(epochs)]
        # Files are skipped by their bounds: what is asked for must still be found.
        last = QueryBuilder().register("t", table).execute(f"SELECT * FROM t WHERE epoch = {max(epochs)}")
        assert pa.table(last).num_rows == epochs.count(max(epochs)), f"{directory}: rows skipped"
    files = [uri.removeprefix("file://") for uri in table.file_uris()]
    parquet = "SELECT count(*) FROM read_parquet(?, union_by_name => true)"
    seen["parquet_rows"] = duckdb.execute(parquet, [files]).fetchone()[0] if files else 0
    assert seen["parquet_rows"] == rows.num_rows, f"{directory}: {seen['parquet_rows']} rows by DuckDB"
    if connection is None:
        seen["delta_scan_rows"] = reason
    else:
        scan = connection.execute("SELECT count(*) FROM delta_scan(?)", [str(directory)])
        seen["delta_scan_rows"] = scan.fetchone()[0]
        assert seen["delta_scan_rows"] == rows.num_rows, f"{directory}: rows by DuckDB's delta extension"
    return seen


def main():
    tables = pathlib.Path(sys.argv[1]) / "tables"
    connection, reason = scanner()
    seen = {}
    for directory in sorted(path.parent for path in tables.glob("*/_delta_log")):
        seen[directory.name] = read(directory, connection, reason)
    print(json.dumps(seen, indent=2))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as problem:
        sys.exit(f"readers disagree: {problem}")
