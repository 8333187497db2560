"""Takes the picture of a page of the viewer in headless Chromium.

tools/picture_page.py PAGE PNG [KEY ...]: KEYs are pressed first, in order, such as `s` for spikes; `l*3` is three times `l`.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from tasks.view.browser import open_browser, show

PRESS = "document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"


def main(page: str, picture: str, *keys: str) -> int:
    """Prints how long the page took to open, and whatever stands in the console."""
    with tempfile.TemporaryDirectory() as profile:
        driver = open_browser(profile)
        try:
            show(driver, Path(page), width=1280, height=800)
            opened = driver.execute_script("return spikevox.opened")
            for key in keys:
                name, _, times = key.partition("*")
                for _ in range(int(times or 1)):
                    driver.execute_script(PRESS, name)
            time.sleep(0.6)
            driver.save_screenshot(picture)
            console = driver.get_log("browser")
        finally:
            driver.quit()
    print(f"{picture}: {Path(page).stat().st_size / 1e6:.1f} MB, open after {opened / 1000:.2f} s, console {console}")
    return int(bool(console))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
