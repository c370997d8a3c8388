"""A real Chromium, driven by Debian's own driver: pages, clicks, keys, pictures, errors."""

import asyncio
import base64
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

Json = dict[str, Any]

# Nothing but this machine can be reached, whatever the browser would like to look up.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
    "--lang=en-GB", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
WAIT_SECONDS = 10.0
# A container that starts changes the machine's network, and Chromium then drops what it loads.
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
LOADS = 3
POLL_SECONDS = 0.05
KEYS = {
    "Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""),
    "ArrowUp": ("ArrowUp", 38, ""), "ArrowDown": ("ArrowDown", 40, ""), "Space": ("Space", 32, " "),
    "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowRight": ("ArrowRight", 39, ""),
    "Home": ("Home", 36, ""), "End": ("End", 35, ""), "Backspace": ("Backspace", 8, ""),
}  # fmt: skip
SHIFT = 8
# A visible, enabled element that matches a selector and has a text or a label.
FIND = """
  const all = [...document.querySelectorAll(%s)];
  const node = all.find(n => n.checkVisibility() && !n.disabled
    && (n.innerText + ' ' + (n.ariaLabel ?? '')).includes(%s));
"""


class PageError(AssertionError):
    """The page threw, or did not come to what was waited for."""


@dataclass
class Page:
    """One window; its screen is 1360 by 860 until it is told otherwise."""

    browser: "Browser"
    window: str
    _size: tuple[int, int] = field(default=(1360, 860))

    async def send(self, method: str, **parameters: Any) -> Json:
        """One command of the DevTools protocol, in this window."""
        return await asyncio.to_thread(self.browser.command, self.window, method, parameters)

    async def open(self, url: str) -> None:
        await self._load("Page.navigate", url=url)

    async def reload(self) -> None:
        await self._load("Page.reload")

    async def _load(self, method: str, **parameters: Any) -> None:
        """Load, again when the load was dropped, until the page's program runs."""
        await self.run("document.body?.replaceChildren()")
        for attempt in range(1, LOADS + 1):
            answer = await self.send(method, **parameters)
            try:
                await self.until("document.getElementById('app')?.childElementCount")
            except PageError:
                if attempt == LOADS:
                    raise PageError(f"{method} {parameters}: {answer}") from None
            else:
                return

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(str(details.get("exception", details).get("description", details)))
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = WAIT_SECONDS) -> Any:
        """Wait until an expression gives something true; returns it."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        if found := await self.run(expression):
                            return found
                    except WebDriverException:
                        pass  # while a page loads, its world is exchanged under our feet
                    await asyncio.sleep(POLL_SECONDS)  # the page is looked at from outside
        except TimeoutError:
            text = await self.run("document.body.innerText.slice(0, 3000)")
            raise PageError(f"never true: {expression}\nThe page says:\n{text}") from None

    async def sees(self, text: str, within: str = "body", seconds: float = WAIT_SECONDS) -> None:
        """Wait until an element shows a text."""
        await self.until(
            f"[...document.querySelectorAll({json.dumps(within)})]"
            f".some(n => n.innerText.includes({json.dumps(text)}))",
            seconds,
        )

    async def has(self, selector: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until there is such an element to be seen."""
        await self.until(
            f"document.querySelector({json.dumps(selector)})?.checkVisibility()", seconds
        )

    async def lacks(self, selector: str) -> None:
        """Wait until there is no such element to be seen."""
        await self.until(f"!document.querySelector({json.dumps(selector)})?.checkVisibility()")

    async def text(self, selector: str) -> str:
        found = f"document.querySelector({json.dumps(selector)})"
        return str(await self.until(f"{found} && ({found}.innerText || ' ')"))

    async def click(self, selector: str, text: str = "") -> None:
        """Click the middle of the first visible element that matches and has the text."""
        found = FIND % (json.dumps(selector), json.dumps(text))
        x, y = await self.until(
            f"""(() => {{ {found}
              node?.scrollIntoView({{block: 'nearest'}});
              const r = node?.getBoundingClientRect();
              const at = node && [r.x + r.width / 2, r.y + r.height / 2];
              // Not while it slides in, or something lies upon it.
              const moves = node?.closest('nav, aside, dialog')?.getAnimations().length;
              return at && !moves && node.contains(document.elementFromPoint(...at)) && at;
            }})()"""
        )
        await self._pointer("mouseMoved", x, y)
        await self._pointer("mousePressed", x, y)
        await self._pointer("mouseReleased", x, y)

    async def hover(self, selector: str) -> None:
        x, y = await self.until(
            f"(() => {{ const n = document.querySelector({json.dumps(selector)});"
            " n?.scrollIntoView({block: 'nearest'}); const r = n?.getBoundingClientRect();"
            " return r && [r.x + r.width / 2, r.y + Math.min(12, r.height / 2)]; })()"
        )
        await self._pointer("mouseMoved", x, y)

    async def _pointer(self, kind: str, x: float, y: float) -> None:
        pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    async def type(self, text: str) -> None:
        """Type where the focus is."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False, times: int = 1) -> None:
        """Press a key by its name in KEYS, or a character."""
        code, number, text = KEYS.get(key, (f"Key{key.upper()}", ord(key[0].upper()), key))
        shared: Json = {"key": " " if key == "Space" else key, "code": code}
        shared |= {"windowsVirtualKeyCode": number, "modifiers": SHIFT if shift else 0}
        for _ in range(times):
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            await self.send("Input.dispatchKeyEvent", **shared, **down)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **shared)

    async def focused(self) -> str:
        """What has the focus, by its label, its text or its name."""
        return str(
            await self.run(
                "(() => { const n = document.activeElement;"
                " return n.ariaLabel || n.innerText || n.id || n.tagName; })()"
            )
        )

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip

    async def colours(self, scheme: str) -> None:
        """`dark` or `light`, as the system would prefer it."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.send("Emulation.setEmulatedMedia", features=[feature])

    async def picture(self, path: Path, part: str = "") -> None:
        """Take a picture of the page, or of one part of it."""
        clip: Json = {}
        if part:
            box = await self.until(
                f"(() => {{ const n = document.querySelector({json.dumps(part)});"
                " if (!n) return null; const b = n.getBoundingClientRect();"
                " return {x: b.x, y: b.y, width: b.width, height: b.height, scale: 1}; })()"
            )
            clip = {"clip": box}
        answer = await self.send(
            "Page.captureScreenshot", format="png", optimizeForSpeed=False, **clip
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        await asyncio.to_thread(self.browser.close, self.window)


class Browser:
    """The driver's one session, which has one window at a time in its hand."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._first = self._window = driver.current_window_handle
        self._open: list[str] = []

    async def page(self, width: int = 1360, height: int = 860) -> Page:
        """A new window."""
        page = Page(self, await asyncio.to_thread(self._new))
        await page.size(width, height)
        return page

    def _new(self) -> str:
        with self._lock:
            self._driver.switch_to.new_window("window")
            self._window = self._driver.current_window_handle
            self._open.append(self._window)
            return self._window

    def command(self, window: str, method: str, parameters: Json) -> Json:
        with self._lock:
            self._choose(window)
            answer: Json = self._driver.execute_cdp_cmd(method, parameters)
            return answer

    def _choose(self, window: str) -> None:
        if window != self._window:
            self._driver.switch_to.window(window)
            self._window = window

    def errors(self) -> list[str]:
        """What pages have thrown, logged as an error or failed to load since the last call."""
        with self._lock:
            entries = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
            said = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
            return [message for message in said if NETWORK_CHANGED not in message]

    def close(self, window: str) -> None:
        with self._lock:
            self._choose(window)
            self._driver.close()
            self._open.remove(window)
            self._choose(self._first)

    def close_all(self) -> None:
        for window in list(self._open):
            self.close(window)


def installed(name: str) -> str:
    """The path of a program; a missing one is a failure, never a skip."""
    found = shutil.which(name)
    assert found, f"There is no {name}. Run `make browser`."
    return found


@contextmanager
def chrome(profile: Path) -> Iterator[Browser]:
    """Run a Chromium with a fresh profile for the length of a block."""
    options = webdriver.ChromeOptions()
    options.binary_location = installed("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The path is given, so that nothing looks for a driver elsewhere.
    driver = webdriver.Chrome(options, Service(installed("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
