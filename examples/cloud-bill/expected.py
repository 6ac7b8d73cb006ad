#!/usr/bin/env python3
"""Works out expected.json and list_cost.csv from the bill, without Tallybook: exact decimals, standard library only.

    python3 expected.py            # writes both
    python3 expected.py --check    # compares them with what is there

list_cost.csv has what AWS says each line costs. That, and not a price of ours, is what rating is held against:
the exact amount of every line, rounded half up to the 10 decimal places of the bill, must be its ListCost.
"""
import collections
import csv
import json
import pathlib
import re
import sys
from decimal import ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 60
HERE = pathlib.Path(__file__).parent
BILL_PLACES = Decimal("1e-10")


def plain(number):
    """A decimal number without exponent and without zeros at its end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def expected():
    unrated = collections.Counter()
    quantities, amounts = collections.defaultdict(Decimal), collections.defaultdict(Decimal)
    costs = ["event_id,meter,list_cost"]
    received = 0
    with open(HERE / "usage" / "focus_sample.csv", newline="") as file:
        for row in csv.DictReader(file):
            received += 1
            if row["ProviderName"] != "AWS":
                unrated["unknown_event_type"] += 1
                continue
            if row["SkuPriceId"] == "NULL":
                unrated["missing_dimension"] += 1
                continue
            meter = "aws-" + re.sub("[^a-z0-9]+", "-", row["PricingUnit"].lower())
            quantity, list_cost = Decimal(row["PricingQuantity"]), Decimal(row["ListCost"])
            amount = quantity * Decimal(row["ListUnitPrice"])
            assert amount.quantize(BILL_PLACES, ROUND_HALF_UP) == list_cost, row
            quantities[meter] += quantity
            amounts[meter] += amount
            costs.append(f"{row['Id']},{meter},{plain(list_cost)}")
    lines = []
    for meter in sorted(amounts):
        # All usage is in one month, and a month is rounded once.
        posted = amounts[meter].quantize(Decimal("0.01"), ROUND_HALF_UP)
        lines.append({
            "contract_line": "sunbird-aws",
            "meter": meter,
            "quantity": plain(quantities[meter]),
            "exact": plain(amounts[meter]),
            "posted": str(posted),
        })
    report = {
        "received": received,
        "rated": len(costs) - 1,
        "unrated": unrated.total(),
        "duplicate": 0,
        "conflict": 0,
        "rejected": 0,
        "rejected_by_reason": {},
        "unrated_by_reason": dict(sorted(unrated.items())),
        "amounts": {
            "USD": {
                "exact": plain(sum(amounts.values())),
                "posted": str(sum(Decimal(line["posted"]) for line in lines)),
            }
        },
        "lines": lines,
    }
    return {"expected.json": json.dumps(report, indent=2) + "\n", "list_cost.csv": "\n".join(costs) + "\n"}


def main():
    for name, text in expected().items():
        if sys.argv[1:] == ["--check"]:
            if (HERE / name).read_text() != text:
                sys.exit(f"{name} differs")
        else:
            (HERE / name).write_text(text, newline="\n")


if __name__ == "__main__":
    main()
