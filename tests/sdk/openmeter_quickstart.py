"""The quick-start of OpenMeter's Python client: one event in, and its meter says 1.

Usage: openmeter_quickstart.py ADDRESS. Needs `pip install --pre openmeter`.
"""

import datetime
import sys
import time
import uuid

from openmeter import Client
from openmeter.models import Event

ADDRESS = sys.argv[1]
METER = "api_calls_total"


def main():
    client = Client(endpoint=ADDRESS, headers={"Accept": "application/json"})
    subject = f"python-{uuid.uuid4()}"
    event = Event(
        id=str(uuid.uuid4()),
        source="my-app",
        specversion="1.0",
        type="api-calls",
        subject=subject,
        time=datetime.datetime.now(datetime.timezone.utc),
        data={"method": "GET", "path": "/hello", "duration_ms": "1.5"},
    )
    client_ingest(client, event)
    # The same event again is no other event.
    client_ingest(client, event)
    meters = call(client, "list_meters", "list")
    print("meters", [meter_slug(meter) for meter in meters])
    for _ in range(50):
        result = query(client, subject)
        rows = result["data"]
        if rows and rows[0]["value"] == 1:
            print("python: value == 1", rows[0])
            return
        time.sleep(0.1)
    raise SystemExit(f"python: no value: {result}")


def client_ingest(client, event):
    if hasattr(client, "events"):
        client.events.ingest_event(event)
    else:
        client.ingest_events(to_event=event)


def call(client, old, new):
    if hasattr(client, "meters"):
        return list(getattr(client.meters, new)())
    return list(getattr(client, old)())


def meter_slug(meter):
    return meter["slug"]


def query(client, subject):
    if hasattr(client, "meters"):
        return client.meters.query_json(METER, subject=[subject])
    return client.query_meter(METER, subject=[subject])


main()
