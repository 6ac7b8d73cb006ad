#!/usr/bin/env python3
"""Works out expected.json from the usage files, without Tallybook: exact decimals, standard library only.

    python3 expected.py            # writes expected.json
    python3 expected.py --check    # compares it with what is there

The prices are written here a second time, in code, so that a mistake in the catalog or in Tallybook shows.
"""
import collections
import csv
import datetime
import json
import pathlib
import sys
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 60
HERE = pathlib.Path(__file__).parent
MILLION = Decimal(1_000_000)
TRACES = {"code": "codewright", "conv": "parley"}
CURRENCY = {"codewright": "USD", "parley": "EUR"}
CONTRACTS_BEGIN = datetime.datetime(2023, 1, 1, 5, tzinfo=datetime.timezone.utc)  # midnight in New York


def graduated(quantity, tiers):
    amount, lower = Decimal(0), Decimal(0)
    for upper, price in tiers:
        slice_end = quantity if upper is None else min(quantity, Decimal(upper))
        amount += max(slice_end - lower, Decimal(0)) * Decimal(price)
        lower = slice_end
    return amount


def volume(quantity, tiers):
    return quantity * next(Decimal(price) for upper, price in tiers if upper is None or quantity <= Decimal(upper))


PRICES = {
    ("codewright", "input_tokens"): lambda q: graduated(q / MILLION, [("5", "2.50"), ("15", "2.00"), (None, "1.50")]),
    ("codewright", "output_tokens"): lambda q: graduated(q / MILLION, [("0.1", "10"), ("0.2", "9"), (None, "8")]),
    ("codewright", "cached_input_tokens"): lambda q: q / MILLION * Decimal("0.25"),
    ("codewright", "requests"): lambda q: max(q - 5000, Decimal(0)) * Decimal("0.0002"),
    ("parley", "input_tokens"): lambda q: q / MILLION * Decimal("2.30"),
    ("parley", "output_tokens"): lambda q: volume(q / MILLION, [("1", "9.20"), ("4", "8.70"), (None, "8.10")]),
    ("parley", "cached_input_tokens"): lambda q: q / MILLION * Decimal("0.23"),
    ("parley", "requests"): lambda q: (q / 1000).to_integral_value(ROUND_CEILING) * Decimal("0.05"),
}


def read_traces(counts, quantities):
    for trace, account in TRACES.items():
        with open(HERE / "usage" / f"AzureLLMInferenceTrace_{trace}.csv", newline="") as file:
            for row in csv.DictReader(file):
                counts["received"] += 1
                counts["rated"] += 1
                quantities[account, "input_tokens"] += Decimal(row["ContextTokens"])
                quantities[account, "output_tokens"] += Decimal(row["GeneratedTokens"])
                quantities[account, "requests"] += 1


def fault(line):
    """The event of a line, or why it is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None, "malformed_json"
    if "id" not in event:
        return None, "missing_id"
    if datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).tzinfo is None:
        return None, "bad_time"
    tokens = event["data"]["usage"]["cached_input_tokens"]
    if event["type"] == "llm.prompt_cache_read" and tokens < 0:
        return None, "negative_quantity"
    return event, None


def read_sample(counts, rejected, unrated, quantities):
    first = {}
    for line in (HERE / "usage" / "cached-tokens-sample.ndjson").read_text().splitlines():
        counts["received"] += 1
        event, reason = fault(line)
        if reason:
            counts["rejected"] += 1
            rejected[reason] += 1
            continue
        earlier = first.setdefault((event["source"], event["id"]), event)
        if earlier is not event:
            counts["duplicate" if earlier == event else "conflict"] += 1
            continue
        time = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
        if event["type"] != "llm.prompt_cache_read":
            reason = "unknown_event_type"
        elif event["subject"] not in CURRENCY:
            reason = "unknown_account"
        elif time < CONTRACTS_BEGIN:
            reason = "no_contract_line"
        if reason:
            counts["unrated"] += 1
            unrated[reason] += 1
            continue
        counts["rated"] += 1
        quantities[event["subject"], "cached_input_tokens"] += event["data"]["usage"]["cached_input_tokens"]


def plain(number):
    """A decimal number without exponent and without zeros at its end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def expected():
    counts = dict.fromkeys(["received", "rated", "unrated", "duplicate", "conflict", "rejected"], 0)
    rejected, unrated = collections.Counter(), collections.Counter()
    quantities = collections.defaultdict(Decimal)
    read_traces(counts, quantities)
    read_sample(counts, rejected, unrated, quantities)
    lines = []
    exact, posted = collections.defaultdict(Decimal), collections.defaultdict(Decimal)
    for (account, meter), quantity in quantities.items():
        amount = PRICES[account, meter](quantity)
        # All usage is in one month, and a month is rounded once.
        rounded = amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
        exact[CURRENCY[account]] += amount
        posted[CURRENCY[account]] += rounded
        lines.append({
            "contract_line": f"{account}-{'requests' if meter == 'requests' else 'tokens'}",
            "meter": meter,
            "quantity": plain(quantity),
            "exact": plain(amount),
            "posted": str(rounded),
        })
    lines.sort(key=lambda line: (line["contract_line"], line["meter"]))
    return {
        **counts,
        "rejected_by_reason": dict(sorted(rejected.items())),
        "unrated_by_reason": dict(sorted(unrated.items())),
        "amounts": {code: {"exact": plain(exact[code]), "posted": str(posted[code])} for code in sorted(exact)},
        "lines": lines,
    }


def main():
    text = json.dumps(expected(), indent=2) + "\n"
    path = HERE / "expected.json"
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if path.read_text() == text else f"{path} differs")
    path.write_text(text, newline="\n")


if __name__ == "__main__":
    main()
