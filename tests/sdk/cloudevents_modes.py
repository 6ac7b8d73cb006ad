"""The CloudEvents Python SDK: an event in structured and one in binary mode.

Usage: cloudevents_modes.py ADDRESS. Needs `pip install cloudevents requests`.
"""

import sys
import uuid

import requests

try:
    from cloudevents.v1.conversion import to_binary, to_structured
    from cloudevents.v1.http import CloudEvent
except ImportError:
    from cloudevents.conversion import to_binary, to_structured
    from cloudevents.http import CloudEvent

ADDRESS = sys.argv[1]


def main():
    subject = f"cloudevents-{uuid.uuid4()}"
    attributes = {"type": "api-calls", "source": "my-app", "subject": subject}
    for convert in (to_structured, to_binary):
        event = CloudEvent(attributes, {"method": "GET", "path": "/größe", "duration_ms": 2})
        headers, body = convert(event)
        answer = requests.post(f"{ADDRESS}/v1/events", headers=headers, data=body, timeout=10)
        answer.raise_for_status()
        assert answer.json()["accepted"] == 1, answer.text
        print(f"cloudevents: {convert.__name__}: accepted")
    asked = {"account": subject, "meter": "api_duration_ms"}
    answer = requests.get(f"{ADDRESS}/v1/usage", params=asked, timeout=10).json()
    assert answer["rows"] == [{"value": "4"}], answer
    print("cloudevents: usage", answer["rows"])


main()
