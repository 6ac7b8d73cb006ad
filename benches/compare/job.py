"""Converts the reference workload's contracts and price books, runs the job, and compares its results with the truth."""

import argparse
import csv
import glob
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time

# Meter: the property it reads and its decimal places.
METERS = {
    "api.request": (None, 0),
    "llm.tokens": ("tokens", 0),
    "storage.gb_hours": ("gb_hours", 6),
    "compute.seconds": ("seconds", 3),
    "egress.bytes": ("bytes", 0),
    "seats.active": (None, 0),
    "build.minutes": ("minutes", 2),
    "db.rows_read": ("rows", 0),
}
DIMENSIONS = {name: f"$.{name}" for name in ("user_id", "region", "model")}


def meter(name, value, decimals):
    document = {"kind": "meter", "id": name, "event_type": name, "decimals": decimals, "dimensions": DIMENSIONS}
    if name == "seats.active":
        return document | {"aggregation": "unique", "value": "$.user_id"}
    if value is None:
        return document | {"aggregation": "count"}
    return document | {"aggregation": "sum", "value": f"$.{value}"}


def rate(name, terms):
    terms = dict(terms)
    if terms["model"] == "free_allowance":
        terms["model"] = "per_unit"
    return {"meter": name} | terms


def convert(data, catalog):
    """Writes the workload's contracts and price books as a catalog; the price books."""
    os.makedirs(catalog)
    with open(os.path.join(data, "price_books.json")) as file:
        books = json.load(file)["books"]
    with open(os.path.join(data, "contracts.csv")) as file:
        contracts = list(csv.DictReader(file))
    documents = [{"kind": "legal_entity", "id": entity} for entity in sorted({row["legal_entity"] for row in contracts})]
    documents += [meter(name, *terms) for name, terms in METERS.items()]
    currencies = sorted({row["currency"] for row in contracts})
    for book, body in books.items():
        rates = [rate(name, terms) for name, terms in body["meters"].items()]
        versions = [{"version": 1, "rates": rates}]
        documents.append({"kind": "price_book", "id": book, "currencies": currencies, "versions": versions})
    with open(os.path.join(catalog, "catalog.ndjson"), "w") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents)
    columns = ["contract", "account", "contract_line", "legal_entity", "currency", "price_book"]
    with open(os.path.join(catalog, "contracts.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {"contract": row["contract_line"]} for row in contracts)
    return books


def files(data, table):
    """The files of a table, as the newest version of its log names them."""
    log = f"{data}/tables/{table}/_delta_log"
    names = set()
    for version in sorted(glob.glob(f"{log}/*.json")):
        with open(version) as file:
            for action in map(json.loads, file):
                if "add" in action:
                    names.add(action["add"]["path"])
                elif "remove" in action:
                    names.discard(action["remove"]["path"])
    return [f"{data}/tables/{table}/{name}" for name in sorted(names)]


def rename(out, books):
    """Writes the results with the columns that verify.py expects."""
    import duckdb

    connection = duckdb.connect()
    per_unit = [
        (book, name)
        for book, body in books.items()
        for name, terms in body["meters"].items()
        if terms["model"] == "per_unit" and name != "seats.active"
    ]
    connection.execute("create table per_unit(book varchar, meter varchar)")
    connection.executemany("insert into per_unit values (?, ?)", per_unit)
    connection.execute(f"""
        copy (select source, coalesce(event_id, event_uuid::varchar) as id, meter_id as type, account_id as account,
                     event_time as time, dimensions.user_id, dimensions.region, dimensions.model,
                     quantity::decimal(28,6) as quantity, contract_line_id as contract_line,
                     legal_entity_id as legal_entity, currency, price_book_id as price_book,
                     case when meter is not null then amount::decimal(38,12) end as amount
              from read_parquet({files(f"{out}/data", "rated_usage")})
              left join per_unit on book = price_book_id and meter = meter_id)
        to '{out}/events.parquet' (format parquet)""")
    # A day on which only users came who had come before adds no seat; the truth has no row for it.
    connection.execute(f"""
        copy (select legal_entity_id as legal_entity, currency, contract_line_id as contract_line, meter_id as meter,
                     service_day as day, metered_quantity::decimal(38,6) as quantity,
                     net_amount_exact::decimal(38,12) as amount
              from read_parquet({files(f"{out}/data", "accruals")}) where metered_quantity <> 0)
        to '{out}/accruals.parquet' (format parquet)""")


def verify(data, out, counts):
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("VERIFY") or os.path.join(here, "../../../shared/bench/verify.py")
    if not os.path.exists(path):
        return "not verified: set VERIFY to the verify.py of the reference workload"
    spec = importlib.util.spec_from_file_location("verify", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.verify(data, out, counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--no-verify", action="store_true")
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    shutil.rmtree(out, ignore_errors=True)
    books = convert(data, f"{out}/catalog")
    inputs = sorted(glob.glob(f"{data}/events-*.ndjson"))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    command = [arguments.program, "run", "--quiet", "--json", "--catalog", f"{out}/catalog", "--data", f"{out}/data"]
    done = subprocess.run(command + inputs, capture_output=True, text=True)
    seconds = time.time() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(done.stderr)

    report = json.loads(done.stdout)
    counts = {
        "malformed": report["rejected"],
        "duplicates": report["duplicate"] + report["conflict"],
        "unknown_account": report["unrated_by_reason"].get("unknown_account", 0),
        "valid_unique": report["rated"],
    } | report["rejected_by_reason"]
    size = lambda table: sum(os.path.getsize(file) for file in files(f"{out}/data", table))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result = {
        "tool": "tallybook",
        "data": data,
        "job_seconds": round(seconds, 3),
        "job_cpu_seconds": round(cpu, 3),
        "peak_memory_mb": after.ru_maxrss // 1024,
        "events_bytes": size("rated_usage"),
        "accruals_bytes": size("accruals"),
        "counts": counts,
    }
    with open(f"{out}/result.json", "w") as file:
        json.dump(result, file)
    if not arguments.no_verify:
        rename(out, books)
        result["verification"] = verify(data, out, counts)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
