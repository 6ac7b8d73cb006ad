#!/usr/bin/env python3
"""Makes usage/cached-tokens-sample.ndjson: usage that is invented, and says so.

The traces do not tell which prompt tokens came from a cache. These events do, for the same two accounts, so
that the cached-token prices have something to price. Among them are events that go wrong on purpose: one sent
twice, one sent again with other figures, and some that are refused or have no price.

The numbers come from a small generator with a fixed seed: the file is the same every time.
"""
import datetime
import json
import pathlib

HERE = pathlib.Path(__file__).parent
EVENTS = 300
# Half past four in the morning in Dublin, half past eleven of the evening before in New York.
BEGIN = datetime.datetime(2023, 11, 16, 4, 30, tzinfo=datetime.timezone.utc)
MODELS = ["northlight-small", "northlight-large"]


def numbers(seed=2023):
    """A linear congruential generator; the upper bits of its 64-bit state."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def event(number, time, account, tokens, model):
    return {
        "specversion": "1.0",
        "id": f"cache-{number:04}",
        "source": "sample/prompt-cache",
        "type": "llm.prompt_cache_read",
        "subject": account,
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"model": model, "usage": {"cached_input_tokens": tokens}},
    }


def main():
    draw = numbers()
    events = []
    for number in range(1, EVENTS + 1):
        time = BEGIN + datetime.timedelta(seconds=10 * number, milliseconds=next(draw) % 1000)
        account = ["codewright", "parley"][next(draw) % 2]
        tokens = 128 * (1 + next(draw) % 64)
        events.append(event(number, time, account, tokens, MODELS[next(draw) % 2]))

    def changed(number, position, **changes):
        """An event like an earlier one, under a number of its own."""
        other = json.loads(json.dumps(events[position]))
        other["id"] = f"cache-{number:04}"
        other.update(changes)
        return other

    lines = [json.dumps(item) for item in events]
    conflict = json.loads(json.dumps(events[39]))
    conflict["data"]["usage"]["cached_input_tokens"] += 128
    no_id = changed(0, 59)
    del no_id["id"]
    negative = {"model": MODELS[0], "usage": {"cached_input_tokens": -512}}
    for position, line in [
        (290, json.dumps(changed(309, 281, time="2022-12-31T12:00:00Z"))),  # before the contract begins
        (250, json.dumps(changed(308, 249, type="llm.fine_tuning"))),  # no meter for this type
        (240, json.dumps(changed(307, 239, subject="dovetail"))),  # no contract for this account
        (200, json.dumps(changed(306, 199, data=negative))),  # tokens below zero
        (160, json.dumps(changed(305, 159, time="2023-11-16 05:00:00"))),  # a time without offset
        (120, json.dumps(no_id)),  # an event without id
        (100, lines[99][:150]),  # a line that was cut short
        (80, json.dumps(conflict)),  # the 40th event again, with more tokens
        (45, lines[24]),  # the 25th event again, as it was
    ]:
        lines.insert(position, line)
    (HERE / "usage" / "cached-tokens-sample.ndjson").write_text("\n".join(lines) + "\n", newline="\n")


if __name__ == "__main__":
    main()
