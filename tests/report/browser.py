"""A page in a real Chromium without a window, driven by Selenium as a reader would use it."""
import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    from selenium import webdriver
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = [name for name, found in (("Debian's chromium", CHROMIUM), ("Debian's chromium-driver", DRIVER), ("selenium", webdriver))
           if not found]
needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"without {', '.join(MISSING)} (tools/test.sh --browser installs them)")


@contextlib.contextmanager
def opened(page: Path, profile: Path) -> Iterator["webdriver.Chrome"]:
    """A browser that shows a page; profile: an empty folder for it."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,900",
                 f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.get("about:blank")   # in place of the first tab, which asks for pages of the browser's own
        requested(driver)
        driver.get(page.resolve().as_uri())
        yield driver
    finally:
        driver.quit()


def complaints(driver: "webdriver.Chrome") -> list[str]:
    """What the browser's console holds: errors, warnings, anything else."""
    return [said["message"] for said in driver.get_log("browser")]


def requested(driver: "webdriver.Chrome") -> list[str]:
    """Addresses that were asked for since the browser began or since the last call; what a page holds itself (data:) or the
    browser needs for its own window (chrome:) is none."""
    events = [json.loads(said["message"])["message"] for said in driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "chrome:"))]
