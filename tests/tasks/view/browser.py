"""Headless Chromium for tests of pages, with WebGL drawn in software; a skip that says why where there is none."""

import os
import shutil
import time

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1280,800"),
)


def open_browser(profile):
    """A browser with a profile of its own, and its driver's log of the console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    absent = [name for name, path in found.items() if path is None]
    if absent:
        pytest.skip(f"{absent[0]} is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(found["chromedriver"], log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(120)
    return driver


def show(driver, path, *, width=1280, height=800, patience=60):
    """Opens a page in a window of this inner size; seconds from the call to its first whole picture."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    start = time.monotonic()
    driver.get(path.resolve().as_uri())
    while not driver.execute_script("return Boolean(window.spikevox && window.spikevox.ready)"):
        assert time.monotonic() - start < patience, driver.get_log("browser")
        time.sleep(0.02)
    return time.monotonic() - start
