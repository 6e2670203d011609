"""Headless Chromium for the page's tests."""
import contextlib
import shutil
import tempfile

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is missing")
service = pytest.importorskip("selenium.webdriver.chrome.service", reason="python3-selenium is missing")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip

needed = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromedriver is missing")


@contextlib.contextmanager
def window(lang="en", size=(1200, 800), dark=False):
    """One browser with an empty profile; its console is in driver.get_log("browser")."""
    with tempfile.TemporaryDirectory(prefix="warbler-chromium-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--lang={lang}", f"--accept-lang={lang}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": lang})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=service.Service(CHROMEDRIVER))
        try:
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600})
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
            yield driver
        finally:
            driver.quit()
