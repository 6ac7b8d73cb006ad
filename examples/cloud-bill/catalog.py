#!/usr/bin/env python3
"""Makes the parts of catalog/ that follow from the bill: meters, list prices and accounts.

    python3 catalog.py

A meter for every pricing unit of the AWS lines, a price for every SKU, an account for every sub account. Standard
library only.
"""
import collections
import csv
import pathlib
import re
from decimal import Decimal

HERE = pathlib.Path(__file__).parent
NONE = "NULL"


def places(number):
    """Decimal places that a number needs."""
    return max(0, -Decimal(number).normalize().as_tuple().exponent)


def meter_id(unit):
    return "aws-" + re.sub("[^a-z0-9]+", "-", unit.lower())


def bill():
    """Lines that AWS charged for usage."""
    with open(HERE / "usage" / "focus_sample.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["ProviderName"] == "AWS" and row["SkuPriceId"] != NONE:
                yield row


def main():
    rows = list(bill())
    by_unit = collections.defaultdict(list)
    for row in rows:
        by_unit[row["PricingUnit"]].append(row)
    units = sorted(by_unit, key=meter_id)

    meters = ["# Made by catalog.py: a meter for every pricing unit, with the decimal places its quantities have."]
    for position, unit in enumerate(units):
        meters += [] if position == 0 else ["---"]
        meters += [
            "kind: meter",
            f"id: {meter_id(unit)}",
            "event_type: AWS",
            "aggregation: sum",
            "value: $.quantity",
            f'unit: "{unit}"',
            f"decimals: {max(places(row['PricingQuantity']) for row in by_unit[unit])}",
            "filter:",
            f'  include: {{ $.unit: ["{unit}"] }}',
            "dimensions:",
            "  sku_price: $.sku_price",
            "  service: $.service",
            "  region: $.region",
        ]
    (HERE / "catalog" / "meters.yaml").write_text("\n".join(meters) + "\n", newline="\n")

    prices = [
        "# Made by catalog.py: the list price of every SKU. A SKU that is not here has no price, not a default one.",
        "kind: price_book",
        "id: aws-list",
        "description: AWS list prices, as on the bill",
        "currencies: [USD]",
        "versions:",
        "  - version: 1",
        "    rates:",
    ]
    for unit in units:
        of_sku = {}
        for row in by_unit[unit]:
            price = of_sku.setdefault(row["SkuPriceId"], row["ListUnitPrice"])
            assert price == row["ListUnitPrice"], f"{row['SkuPriceId']} has two prices"
        prices += [f"      - meter: {meter_id(unit)}", "        model: matrix", "        matrix:"]
        for sku, price in sorted(of_sku.items()):
            prices.append(f'          - {{ when: {{ sku_price: {sku} }}, unit_price: "{price}" }}')
    (HERE / "catalog" / "price_book.yaml").write_text("\n".join(prices) + "\n", newline="\n")

    contracts = ["contract,account,contract_line,legal_entity,currency,price_book"]
    for account in sorted({row["SubAccountId"] for row in rows}):
        contracts.append(f"sunbird,{account},sunbird-aws,reseller,USD,aws-list")
    (HERE / "catalog" / "contracts.csv").write_text("\n".join(contracts) + "\n", newline="\n")


if __name__ == "__main__":
    main()
