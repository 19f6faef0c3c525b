"""Headless Chromium, driven over its debugging port."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.websocket import websocket_connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
]
PATIENCE = 60  # seconds, on a machine with much else to do


class Tab:
    """A page in the browser: what it says on its console, and what it is asked for, is kept."""

    def __init__(self, socket):
        self.socket, self.number, self.said, self.asked = socket, 0, [], []

    async def tell(self, method, **parameters):
        """One command of the DevTools protocol, and its result."""
        self.number += 1
        await self.socket.write_message(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self.socket.read_message())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            if message["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.said.append(message["params"])
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])

    async def run(self, script):
        """The value of an expression, which may be a promise."""
        found = await self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition):
        """Waits until an expression is true."""
        ended = time.monotonic() + PATIENCE
        while not await self.run(condition):
            wrong = await self.run("document.querySelector('#wrong')?.textContent")
            assert time.monotonic() < ended, f"{condition} did not come true in {PATIENCE} s; {wrong}; {self.said}"
            await asyncio.sleep(0.1)

    async def click(self, selector):
        """Clicks with the mouse in the middle of an element."""
        await self.drag(selector, [(0.5, 0.5)])

    async def drag(self, selector, places):
        """Presses the mouse at the first place inside an element, as shares of its sides, and moves to the others."""
        script = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; }})()"  # noqa: E501
        left, top, width, height = await self.run(script)
        points = [{"x": left + across * width, "y": top + down * height} for across, down in places]
        one = {"button": "left", "buttons": 1, "clickCount": 1}
        await self.tell("Input.dispatchMouseEvent", type="mousePressed", **points[0], **one)
        for point in points[1:]:
            await self.tell("Input.dispatchMouseEvent", type="mouseMoved", **point, **one)
        await self.tell("Input.dispatchMouseEvent", type="mouseReleased", **points[-1], **one)


@asynccontextmanager
async def tab(address, profile, width):
    """A page of that width at an address."""
    browser = subprocess.Popen(
        [CHROMIUM, *QUIET, f"--user-data-dir={profile}", f"--window-size={width},900", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port, ended = Path(profile) / "DevToolsActivePort", time.monotonic() + PATIENCE
        while not (port.is_file() and port.read_text().count("\n")):
            assert time.monotonic() < ended and browser.poll() is None, "Chromium does not start"
            time.sleep(0.05)
        with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json") as answer:
            page = next(one for one in json.loads(answer.read()) if one["type"] == "page")
        socket = await websocket_connect(page["webSocketDebuggerUrl"], max_message_size=1 << 26)
        tab = Tab(socket)
        for room in ("Page", "Runtime", "Log", "Network"):
            await tab.tell(f"{room}.enable")
        phone = width < 600
        sizes = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": phone}
        await tab.tell("Emulation.setDeviceMetricsOverride", **sizes)
        await tab.tell("Page.navigate", url=address)
        await tab.until("document.readyState === 'complete' && document.querySelector('#model option') !== null")
        yield tab
        socket.close()
    finally:
        browser.terminate()
        browser.wait()
