#!/usr/bin/env python3
"""Works out expected.json from the usage files, without Tallybook: exact decimals, standard library only.

    python3 expected.py            # writes expected.json
    python3 expected.py --check    # compares it with what is there

Every contract line is worked out by a line of code of its own, as one would by hand. Where that depends on when
or in which order events came, the code says so.
"""
import gzip
import json
import pathlib
import sys
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 60
D = Decimal
HERE = pathlib.Path(__file__).parent
GIB = 2**30


def graduated(quantity, *tiers):
    amount, lower = D(0), D(0)
    for upper, price in tiers:
        end = quantity if upper is None else min(quantity, D(upper))
        amount += max(end - lower, D(0)) * D(price)
        lower = max(end, lower)
    return amount


def two_tiers(quantity):
    return graduated(quantity, (100, "0.10"), (None, "0.05"))


def new_two_tiers(quantity):
    return graduated(quantity, (100, "0.12"), (None, "0.06"))


def three_tiers(quantity):
    return graduated(quantity, (100, "0.10"), (1000, "0.08"), (None, "0.05"))


def clamp(amount, least, most):
    return max(D(least), min(amount, D(most)))


def started(quantity, size):
    return (quantity / size).to_integral_value(ROUND_CEILING)


def read_usage():
    """All events, in the order of the files' names, as a run over usage/* reads them."""
    events = [json.loads(line, parse_float=D) for line in (HERE / "usage/events.ndjson").open()]
    events += json.loads((HERE / "usage/payments.json").read_text(), parse_float=D)
    with gzip.open(HERE / "usage/trades-and-compute.ndjson.gz", "rt") as file:
        events += [json.loads(line, parse_float=D) for line in file]
    return events


def first_of_each(events):
    """The events that count: the first of every id, and not what goes wrong."""
    wrong = {
        "dynamic-unit-price-3": ("rejected", "invalid_event_price"),  # no price
        "graduated-4": ("rejected", "missing_quantity"),  # texts, not messages
        "percentage-4": ("rejected", "quantity_too_precise"),  # 1.234 EUR
        "flat-prorated-1": ("unrated", "no_contract_line"),  # the day before the line begins
        "per-unit-4": ("unrated", "no_price_book_version"),  # the year before the price book begins
        "filters-3": ("unrated", "no_meter_applies"),  # GET /health
        "filters-5": ("unrated", "no_meter_applies"),  # status 500
        "matrix-7": ("unrated", "missing_dimension"),  # no region
        "matrix-without-default-2": ("unrated", "no_matrix_entry"),  # in us
    }
    counts = dict.fromkeys(["received", "rated", "unrated", "duplicate", "conflict", "rejected"], 0)
    reasons = {"rejected": {}, "unrated": {}}
    first, good = {}, []
    for event in events:
        counts["received"] += 1
        if event["id"] in wrong:
            outcome, reason = wrong[event["id"]]
            counts[outcome] += 1
            reasons[outcome][reason] = reasons[outcome].get(reason, 0) + 1
        elif event["id"] in first:
            counts["duplicate" if event == first[event["id"]] else "conflict"] += 1
        else:
            first[event["id"]] = event
            counts["rated"] += 1
            good.append(event)
    return counts, reasons, good


def work_out(events):
    """By contract line and meter: the quantity, and the amounts of its billing periods."""

    def of(account, name=None):
        """The events of an account, or numbers of them."""
        mine = [event for event in events if event["subject"] == account]
        return mine if name is None else [D(str(event["data"][name])) for event in mine if name in event["data"]]

    def total(account, name):
        return sum(of(account, name), D(0))

    lines = {}

    def line(name, meter, quantity, *periods):
        lines[name, meter] = (D(quantity), list(periods))

    line("flat", "logins", len(of("flat")), D(30))
    # In force on 20 of 31 days; a proration is rounded to cents.
    prorated = (D(30) * 20 / 31).quantize(D("0.01"), ROUND_HALF_UP)
    line("flat-prorated", "logins", len(of("flat-prorated")), prorated)
    q = total("per-unit", "calls")
    line("per-unit", "api_calls", q, q * D("0.000325"))
    q = total("free-quantity", "calls")
    line("free-quantity", "api_calls", q, max(q - 1000, D(0)) * D("0.001"))
    q = total("graduated", "messages")
    line("graduated", "messages", q, three_tiers(q))
    # 150 messages reach the second tier: two flat amounts.
    q = total("flat-amounts", "messages")
    line("flat-amounts", "messages", q, three_tiers(q) + D("5.00") + D("2.50"))
    line("zero-usage", "messages", 0, D("5.00"))
    q = total("volume", "messages")
    line("volume", "messages", q, q * D("0.10" if q <= 100 else "0.08"))
    q = len({event["data"]["user"] for event in of("stairstep")})
    line("stairstep", "active_users", q, D(49 if q <= 2 else 99 if q <= 5 else 199))
    q = total("package", "messages")
    line("package", "messages", q, started(q, 100) * D("1.20"))
    q = total("percentage", "amount")
    line("percentage", "payments", q, q * D("0.029") + len(of("percentage")) * D("0.30"))
    values = of("percentage-with-bounds", "amount")
    line("percentage-with-bounds", "payments", sum(values), sum(clamp(v * D("0.029"), "0.50", "20") for v in values))
    values = of("basis-points", "value")
    line("basis-points", "trades", sum(values), sum(min(v * D("12.5") / 10000, D(25)) for v in values))
    prices = {"eu large": "0.40", "eu medium": "0.25", "eu small": "0.25", "us large": "0.35", "us small": "0.10"}
    price_of = lambda data: D(prices.get(f"{data['region']} {data['machine']['size']}", "0.20"))
    priced = [event["data"] for event in of("matrix")]
    line("matrix", "compute", total("matrix", "hours"), sum(price_of(data) * data["hours"] for data in priced))
    q = total("matrix-without-default", "hours")
    line("matrix-without-default", "compute", q, q * D("0.25"))
    prices = of("dynamic-amount", "price")
    line("dynamic-amount", "purchases", len(prices), sum(prices) * D("1.15"))
    spot = [event["data"] for event in of("dynamic-unit-price")]
    cost = sum(data["hours"] * D(str(data["hourly_price"])) for data in spot)
    line("dynamic-unit-price", "spot_hours", total("dynamic-unit-price", "hours"), cost)
    q = total("converted-and-free", "bytes")
    line("converted-and-free", "bytes_out", q, graduated(started(q, GIB) - 1, (10, "0.12"), (None, "0.08")))
    # 1.505 hours: half goes to the even hundredth, 1.50.
    q = total("converted-half-even", "seconds")
    hours = (q / 3600).quantize(D("0.01"), ROUND_HALF_EVEN)
    line("converted-half-even", "runtime", q, hours * D("2.00"))
    q = total("converted-exactly", "calls")
    line("converted-exactly", "api_calls", q, q / 1000 * D("0.35"))
    by_project = {}
    for event in of("group-by"):
        project = event["data"]["project"]
        by_project[project] = by_project.get(project, D(0)) + event["data"]["messages"]
    line("group-by", "messages", sum(by_project.values()), sum(map(two_tiers, by_project.values())))
    # The new version begins at 2026-10-14T22:00Z, midnight in Berlin. The last event came late and is before it.
    for account in ("price-change", "price-change-with-reset"):
        mine = of(account)
        before = sum(D(event["data"]["messages"]) for event in mine if event["time"] < "2026-10-14T22:00:00Z")
        both = total(account, "messages")
        after = new_two_tiers(both) - new_two_tiers(before)
        if account == "price-change-with-reset":
            after = new_two_tiers(both - before)
        line(account, "messages", both, two_tiers(before) + after)
    # Periods begin on the 15th in Berlin: one event in each.
    periods = [two_tiers(q) for q in of("anchored", "messages")]
    line("anchored", "messages", total("anchored", "messages"), *periods)
    # October and November are one quarter.
    q = total("quarterly", "messages")
    line("quarterly", "messages", q, two_tiers(q))
    # Two accounts under one line: each has tiers of its own, and they are posted as one.
    north, south = total("shared-north", "messages"), total("shared-south", "messages")
    line("shared", "messages", north + south, three_tiers(north) + three_tiers(south))
    q = max(of("max", "open"))
    line("max", "connections", q, q * D("0.02"))
    q = min(of("min", "gigabytes"))
    line("min", "balance", q, q * D("0.5"))
    # Latest by time, not by arrival; of two at the same time the larger id.
    q = max(of("latest"), key=lambda event: (event["time"], event["id"]))["data"]["seats"]
    line("latest", "seats", q, q * D("4.00"))
    # The number 42 and the text "42" are one user.
    q = len({str(event["data"]["user"]) for event in of("unique")})
    line("unique", "active_users", q, q * D("3.00"))
    line("filters", "successful_requests", len(of("filters")), len(of("filters")) * D("0.01"))
    line("if-missing", "jobs", len(of("if-missing")), len(of("if-missing")) * D("0.05"))
    q = total("if-missing", "gpu_seconds")
    line("if-missing", "gpu_seconds", q, q * D("0.002"))
    q = total("corrections", "credits")
    line("corrections", "credits", q, q * D("0.10"))
    # The second event is on 1 November in Tokyo, the next month: 2.5 and 1.5 yen.
    periods = [q * D("0.5") for q in of("yen", "calls")]
    line("yen", "api_calls", total("yen", "calls"), *periods)
    return lines


def plain(number):
    """A decimal number without exponent and without zeros at its end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def expected():
    counts, reasons, good = first_of_each(read_usage())
    amounts, lines = {}, []
    for (name, meter), (quantity, periods) in sorted(work_out(good).items()):
        currency = "JPY" if name == "yen" else "EUR"
        place, mode = (D(1), ROUND_HALF_EVEN) if name == "yen" else (D("0.01"), ROUND_HALF_UP)
        # Rounded once for each billing period.
        exact, posted = sum(periods), sum(period.quantize(place, mode) for period in periods)
        totals = amounts.setdefault(currency, [D(0), D(0)])
        totals[0] += exact
        totals[1] += posted
        lines.append({
            "contract_line": name,
            "meter": meter,
            "quantity": plain(quantity),
            "exact": plain(exact),
            "posted": str(posted),
        })
    return {
        **counts,
        "rejected_by_reason": dict(sorted(reasons["rejected"].items())),
        "unrated_by_reason": dict(sorted(reasons["unrated"].items())),
        "amounts": {code: {"exact": plain(e), "posted": str(p)} for code, (e, p) in sorted(amounts.items())},
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
