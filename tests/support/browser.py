"""A real headless Chromium, without a network, that opens pages from files."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --force-device-scale-factor=1"
).split()
MISSING = "Chromium and its driver are not installed: apt-get install chromium chromium-driver"


def installed() -> bool:
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """One browser with an empty profile; `width` and `dark` are those of its window."""

    def __init__(self) -> None:
        from selenium.webdriver import Chrome, ChromeOptions
        from selenium.webdriver.chrome.service import Service

        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = ChromeOptions()
        for flag in (*QUIET, f"--user-data-dir={self.profile.name}"):
            options.add_argument(flag)
        options.binary_location = str(shutil.which("chromium"))
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options, Service(str(shutil.which("chromedriver"))))
        self.driver.set_script_timeout(60)

    def quit(self) -> None:
        self.driver.quit()
        self.profile.cleanup()

    def size(self, width: int, height: int = 900) -> None:
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)

    def open(self, page: Path, address: str = "") -> None:
        """Open a page anew, with an address behind #, and wait until all of it is unpacked."""
        self.driver.get("about:blank")
        self.driver.get(f"{page.as_uri()}#{address}")
        self.wait("document.documentElement.dataset.ready === 'yes'")

    def go(self, address: str) -> None:
        """Change the address, and wait until the screen is drawn."""
        self.run("location.hash = arguments[0]", address)
        self.run("await E.draw()")

    def run(self, code: str, *arguments: Any) -> Any:
        """The value of a piece of code, which may wait."""
        waited = f"(async (...arguments_) => {{ {code.replace('arguments[', 'arguments_[')} }})(...arguments)"
        done = (
            f"{waited}.then(arguments[arguments.length - 1], (error) => arguments[arguments.length - 1](String(error)))"
        )
        return self.driver.execute_async_script(done, *arguments)

    def each(self, selector: str, *parts: str) -> list[list]:
        """Some parts of every element `one` that a selector finds."""
        return self.run(
            f"return [...document.querySelectorAll(arguments[0])].map((one) => [{', '.join(parts)}])", selector
        )

    def wait(self, condition: str) -> None:
        for _ in range(400):
            if self.driver.execute_script(f"return {condition}"):
                return
            self.run("await new Promise((done) => setTimeout(done, 25))")
        raise AssertionError(f"never came: {condition}")

    def log(self, kind: str) -> list[dict]:
        """What the browser noted since the last call: `browser` for the console, `performance` for requests."""
        return self.driver.get_log(kind)
