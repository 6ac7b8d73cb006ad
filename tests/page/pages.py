"""What the pages of a service show in a browser. Usage: run.sh says."""

import html.parser
import json
import math
import random
import sys
import threading
import time
import urllib.error

from browser import Browser, answer

HOSTILE = "<script>alert('contoso')</script>"
TABLES = ["charges", "meters", "refused", "events", "epochs"]


class Sender(threading.Thread):
    """Sends events like those of a gateway of language models, some of them wrong, until it is ended."""

    def __init__(self, address, seed):
        super().__init__(daemon=True)
        self.address, self.random, self.sent, self.is_ending = address, random.Random(seed), 0, False
        self.known = []

    def event(self):
        self.sent += 1
        pick, number = self.random.choices, self.random.randrange
        account = pick(["northwind-labs", "contoso", HOSTILE, "größe-ag", "fabrikam"], [5, 4, 1, 3, 2])[0]
        data = {"model": pick(["large-2", "small-2"])[0], "input_tokens": number(20, 4000), "output_tokens": number(5, 900)}
        event = {"specversion": "1.0", "id": f"{self.sent:08x}", "source": "//gateway/eu-1", "type": "llm.completion",
                 "subject": account, "data": data}
        kind = self.random.random()
        if kind < 0.3:
            event |= {"type": "api-calls", "data": {"method": "POST", "path": "/v1/chat", "duration_ms": number(3, 900)}}
        elif kind < 0.31:
            event["subject"] = "trial-1183"
        elif kind < 0.315:
            data["input_tokens"] = "many"
        elif kind < 0.317:
            event["time"] = "yesterday"
        elif kind < 0.318:
            event["subject"] = "\x1b[31mred\r\n"
        elif kind < 0.325 and self.known:
            event = self.random.choice(self.known)
        elif kind < 0.326 and self.known:
            event = self.random.choice(self.known) | {"data": {"model": "large-2", "input_tokens": 1, "output_tokens": 1}}
        elif kind < 0.4:
            event["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.known = [*self.known[-50:], event]
        return event

    def send(self, count):
        answer(f"{self.address}/v1/events", "POST", [self.event() for _ in range(count)])

    def run(self):
        began = time.monotonic()
        while not self.is_ending:
            self.send(int(90 + 60 * math.sin((time.monotonic() - began) / 3) + self.random.randrange(30)))
            time.sleep(0.1)

    def end(self):
        self.is_ending = True
        self.join()


class Cells(html.parser.HTMLParser):
    """The cells of a page's tables, as the service wrote them."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.table, self.cell = {}, None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tbody":
            self.table = self.tables.setdefault(dict(attributes)["data-rows"], [])
        elif tag == "tr" and self.table is not None:
            self.table.append([])
        elif tag == "td":
            self.cell = ""

    def handle_data(self, text):
        if self.cell is not None:
            self.cell += text

    def handle_endtag(self, tag):
        if tag == "td":
            self.table[-1].append(self.cell)
            self.cell = None
        elif tag == "tbody":
            self.table = None


def shown_cells(browser):
    script = """return Object.fromEntries([...document.querySelectorAll('[data-rows]')].map((body) => [body.dataset.rows,
        [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent))]))"""
    return browser.run(script)


def check_open(browser, address, picture):
    sender = Sender(address, 7)
    sender.send(400)
    # The page comes with what it shows.
    headers, text = answer(address)
    assert "default-src 'none'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert "<script>alert" not in text and 'data-value="counts.received" data-kind="number">400<' in text, text
    browser.resize(1280, 1190)
    browser.open(address)
    browser.wait("document.querySelector('[data-value=\"counts.received\"]').textContent === '400'")
    # It follows.
    sender.start()
    browser.wait("Number(document.querySelector('[data-value=\"counts.received\"]').textContent.replaceAll(',', '')) > 2000")
    browser.wait("document.querySelector('[data-rows=charges]').rows.length >= 10")
    if picture.endswith("docs/images/status.png"):
        time.sleep(58)
        browser.picture(picture)
    sender.end()
    # What a script would be is text, and what a terminal would do is refused and counted.
    answer(f"{address}/v1/events", "POST", {**sender.event(), "subject": HOSTILE, "type": "unmetered"})
    browser.wait("document.querySelector('[data-rows=events]').rows[0].cells[1].textContent === arguments[0]", HOSTILE)
    assert browser.run("return document.scripts.length") == 1
    assert "invalid_attribute" in [row[0] for row in shown_cells(browser)["refused"]]
    # The script shows what the service writes, once nothing happens any more.
    for _ in range(100):
        written, shown = Cells(answer(address)[1]).tables, shown_cells(browser)
        if written == shown:
            break
        time.sleep(0.1)
    differing = [name for name in TABLES if written[name] != shown[name]]
    assert not differing, [(written[name], shown[name]) for name in differing]
    assert all(written[name] for name in TABLES), written
    received = int(browser.run("return document.querySelector('[data-value=\"counts.received\"]').textContent").replace(",", ""))
    assert received == sender.sent, (received, sender.sent)
    # Nothing but the service was asked for anything.
    asked = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(asked) > 3 and all(name.startswith(address + "/") for name in asked), asked
    # On a phone nothing is wider than it, and in the dark it is dark.
    browser.resize(390, 844, is_phone=True)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(background)
    browser.devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert browser.run(background) != light, light
    browser.devtools("Emulation.setEmulatedMedia", {"features": []})
    browser.resize(1280, 1190)
    assert not (complaints := browser.complaints()), complaints
    print(f"status page: {sender.sent} events, {len(shown['charges'])} charges, {len(shown['refused'])} reasons, no complaint")


def check_closed(browser, address, token):
    # Public, and empty.
    _, text = answer(address)
    assert "<td" not in text and 'data-value="epoch" data-kind="number"><' in text, text
    try:
        answer(f"{address}/v1/status")
        raise AssertionError("anybody can read the status")
    except urllib.error.HTTPError as error:
        assert error.code == 401, error
    browser.open(address)
    browser.wait("!document.getElementById('ask').hidden && document.getElementById('status').hidden")
    assert not (complaints := browser.complaints()), complaints
    enter = """document.getElementById('token').value = arguments[0];
        document.querySelector('#ask button').click()"""
    browser.run(enter, "this one is not known")
    browser.wait("document.getElementById('refusal').textContent.includes('a token that the service knows')")
    assert browser.run("return sessionStorage.length") == 0
    browser.complaints()  # Browsers write answers with 401 there.
    browser.run(enter, token)
    browser.wait("!document.getElementById('status').hidden && document.getElementById('ask').hidden")
    browser.open(address)
    browser.wait("!document.getElementById('status').hidden")
    assert browser.run("return [location.href, document.cookie, localStorage.length]") == [address + "/", "", 0]
    assert not (complaints := browser.complaints()), complaints
    print("status page with tokens: empty until one is entered, kept by the tab alone")


def check_docs(browser, address):
    document = json.loads(answer(f"{address}/openapi.json")[1])
    operations = {operation["operationId"] for methods in document["paths"].values() for operation in methods.values()}
    browser.open(f"{address}/docs#get_v1_usage")
    browser.wait("document.querySelectorAll('.operation').length > 0")
    shown = set(browser.run("return [...document.querySelectorAll('.operation')].map((operation) => operation.id)"))
    assert shown == operations, shown ^ operations
    assert browser.run("return document.getElementById('get_v1_usage').open")
    # Everything unfolds, types that hold themselves excepted.
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    browser.wait("document.querySelectorAll('.inner[open] table').length > 20")
    browser.resize(390, 844, is_phone=True)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    assert not (complaints := browser.complaints()), complaints
    print(f"document of the API: {len(shown)} operations, no complaint")


def main():
    driver, open_address, closed_address, token, picture = sys.argv[1:]
    browser = Browser(driver)
    try:
        check_open(browser, open_address, picture)
        check_closed(browser, closed_address, token)
        check_docs(browser, open_address)
    finally:
        browser.end()


main()
