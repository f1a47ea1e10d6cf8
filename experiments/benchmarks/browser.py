"""How large an exported page is, and how fast: `python browser.py FILE.html`.

Needs chromium on the path. Medians over ten loads from the disk: the first image on the screen
after the page's load event, and one image, from its noise to its pixels.
"""

import shutil
import sys
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

LOADS = 10
IMAGE = """() => {
    const noise = Float32Array.from({ length: MODEL.hand }, (_, i) => Math.sin(i));
    const started = performance.now();
    for (let i = 0; i < 50; i++) cvae.mean(0, cvae.latent(0, noise));
    return (performance.now() - started) / 50;
}"""


def main(file: Path) -> None:
    """Print the figures of a page."""
    first, image = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for _ in range(LOADS):
            page = browser.new_page()
            page.goto(file.resolve().as_uri())
            page.wait_for_selector("body[data-state=ready]")
            loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            first.append(page.evaluate("cvae.firstImage") - loaded)
            image.append(page.evaluate(IMAGE))
            page.close()
        browser.close()
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")
    print(f"first image {median(first):.0f} ms after load ({min(first):.0f} to {max(first):.0f})")
    print(f"an image {median(image):.2f} ms ({min(image):.2f} to {max(image):.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
