"""A real Chromium, driven over its DevTools protocol: pages, clicks, keys, pictures, errors."""

import asyncio
import base64
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
    "--remote-debugging-port=0", "--lang=en-GB",
)  # fmt: skip
START_SECONDS = 20.0
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
KEYS = {
    "Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""),
    "ArrowUp": ("ArrowUp", 38, ""), "ArrowDown": ("ArrowDown", 40, ""), "Space": ("Space", 32, " "),
    "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowRight": ("ArrowRight", 39, ""),
    "Home": ("Home", 36, ""), "End": ("End", 35, ""),
}  # fmt: skip
SHIFT = 8


class PageError(AssertionError):
    """The page threw, or did not come to what was waited for."""


@dataclass
class Page:
    """One tab. `errors` collects exceptions, console errors and failed loads."""

    browser: "Browser"
    target: str
    session: str
    errors: list[str] = field(default_factory=list)

    async def send(self, method: str, **parameters: Any) -> Json:
        return await self.browser.send(method, self.session, **parameters)

    async def open(self, url: str) -> None:
        answer = await self.send("Page.navigate", url=url)
        if "errorText" in answer:
            raise PageError(f"{url}: {answer['errorText']}")

    async def reload(self) -> None:
        await self.send("Page.reload")

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
                    except PageError as error:
                        # While a page loads its world is exchanged under our feet.
                        if "context" not in str(error):
                            raise
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

    async def text(self, selector: str) -> str:
        found = f"document.querySelector({json.dumps(selector)})"
        return str(await self.until(f"{found} && ({found}.innerText || ' ')"))

    async def click(self, selector: str, text: str = "") -> None:
        """Click the middle of the first visible element that matches and has the text."""
        await self.until(
            f"""(() => {{
              const all = [...document.querySelectorAll({json.dumps(selector)})];
              const node = all.find(n => n.checkVisibility() && !n.disabled
                && (n.innerText + ' ' + (n.ariaLabel ?? '')).includes({json.dumps(text)}));
              node?.scrollIntoView({{block: 'nearest'}});
              globalThis.__clicked = node;
              return Boolean(node);
            }})()"""
        )
        place = await self.run(
            "(() => { const r = __clicked.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        await self.pointer("mouseMoved", *place)
        await self.pointer("mousePressed", *place)
        await self.pointer("mouseReleased", *place)

    async def hover(self, selector: str) -> None:
        place = await self.until(
            f"(() => {{ const n = document.querySelector({json.dumps(selector)});"
            " n?.scrollIntoView({block: 'nearest'}); const r = n?.getBoundingClientRect();"
            " return r && [r.x + r.width / 2, r.y + Math.min(12, r.height / 2)]; })()"
        )
        await self.pointer("mouseMoved", *place)

    async def pointer(self, kind: str, x: float, y: float) -> None:
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

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip

    async def colours(self, scheme: str) -> None:
        """`dark` or `light`, as the system would prefer it."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.send("Emulation.setEmulatedMedia", features=[feature])

    async def picture(self, path: Path) -> None:
        answer = await self.send("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        await self.browser.send("Target.closeTarget", targetId=self.target)

    def heard(self, method: str, parameters: Json) -> None:
        """Keep what went wrong in the page."""
        match method:
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(str(details.get("exception", {}).get("description", details)))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
                self.errors.append(str([a.get("value") for a in parameters["args"]]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                entry = parameters["entry"]
                self.errors.append(f"{entry['text']} {entry.get('url', '')}")
            case _:
                return


class Browser:
    """The process and its one socket; every page is a session on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._pages: dict[str, Page] = {}

    async def page(self, width: int = 1360, height: int = 860) -> Page:
        """A new tab in a context of its own: no storage is shared with another one."""
        context = await self.send("Target.createBrowserContext")
        return await self.tab(context["browserContextId"], width, height)

    async def tab(self, context: str, width: int = 1360, height: int = 860) -> Page:
        """A new tab of a context, as a second window of the same person."""
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=context, newWindow=True
        )
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, target["targetId"], attached["sessionId"])
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Log", "DOM"):
            await page.send(f"{domain}.enable")
        await page.size(width, height)
        return page

    async def send(self, method: str, session: str = "", /, **parameters: Any) -> Json:
        self._number += 1
        number = self._number
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        call: Json = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(call | ({"sessionId": session} if session else {}))
        async with asyncio.timeout(START_SECONDS):
            return await answer

    async def read(self) -> None:
        """Hand answers to who asked, and events to their pages, until the socket closes."""
        async for frame in self._socket:
            message = json.loads(frame.data)
            if "id" in message:
                answer = self._answers.pop(message["id"])
                if answer.done():
                    continue
                if "error" in message:
                    answer.set_exception(PageError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            elif page := self._pages.get(message.get("sessionId", "")):
                page.heard(message["method"], message["params"])


def chromium() -> str:
    """The path of the browser; a missing one is a failure, never a skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "There is no Chromium. Run `make browser`."
    return found


@asynccontextmanager
async def chrome(profile: Path) -> AsyncIterator[Browser]:
    """Run a Chromium with a fresh profile for the length of a block."""
    process = await asyncio.create_subprocess_exec(
        chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_SECONDS):
            address = await _address(process)
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            browser = Browser(socket)
            reading = asyncio.create_task(browser.read())
            draining = asyncio.create_task(_drain(process))
            try:
                yield browser
            finally:
                for task in (reading, draining):
                    task.cancel()
                await asyncio.gather(reading, draining, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    async for line in process.stderr:
        said.append(line.decode("utf-8", "replace"))
        if line.startswith(b"DevTools listening on "):
            return line.decode().split()[-1]
    raise PageError(f"Chromium did not start: {''.join(said)[-2000:]}")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    while await process.stderr.read(65_536):
        continue
