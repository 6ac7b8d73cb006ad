"""A browser, by the WebDriver protocol: what these tests need of it, with the standard library alone."""

import base64
import json
import time
import urllib.request


def answer(url, method="GET", body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answered:
        return answered.headers, answered.read().decode()


class Browser:
    def __init__(self, driver):
        # Without a sandbox: it runs as root in containers, and looks at our own pages alone.
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]}
        asked = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = f"{driver}/session"
        session = self.call("POST", "", {"capabilities": {"alwaysMatch": asked}})
        self.session += f"/{session['sessionId']}"

    def call(self, method, path, body=None):
        return json.loads(answer(self.session + path, method, body)[1])["value"]

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, *arguments, seconds=20):
        """Until a script comes to something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(f"return {script}", *arguments):
                return found
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {script}\n{self.run('return document.body.innerText')}")

    def resize(self, width, height, is_phone=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def devtools(self, command, parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self):
        """What was written to the console since this was asked last."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def end(self):
        self.call("DELETE", "")
