"""Make docs/images/page.png, the page of `moclip serve`: python docs/make_page_picture.py demo/run

Needs the demo's run folder, a chromium on the PATH and Playwright. The video is generated.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from moclip_lite.datasets.synthetic.pictures import render_clip

_ACTIONS = (
    ("bricks", "pan_left"),
    ("water", "rotate"),
    ("foliage", "zoom_in"),
    ("pebbles", "shake"),
    ("bricks", "rotate"),
    ("water", "pan_right"),
)
_FRAMES, _SIZE, _WIDTH = 60, (480, 360), 1160


def _write_video(path: Path) -> None:
    """All actions, one after the other, as H.264."""
    options = {"g": "12", "bf": "0", "refs": "1", "sc_threshold": "0", "crf": "20"}
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number, (texture, motion) in enumerate(_ACTIONS):
            for picture in render_clip(texture, motion, _FRAMES, (99, number))[0]:
                shown = Image.fromarray(picture).resize(_SIZE, Image.Resampling.BICUBIC)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(shown), format="rgb24")))
        container.mux(stream.encode(None))


def _photograph(address: str, video: Path, target: Path) -> None:
    """The page three seconds into the video, down to the end of its timeline."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 960}, color_scheme="light")
        page.goto(address)
        page.set_input_files("#file", video)
        page.wait_for_selector("#result-view:not([hidden])", timeout=300_000)
        page.wait_for_timeout(2000)
        for _ in range(3):
            page.press("#timeline", "ArrowRight")
        page.wait_for_timeout(2000)
        page.evaluate("document.activeElement.blur()")
        bottom = page.evaluate("document.querySelector('#timeline').getBoundingClientRect().bottom + scrollY")
        page.screenshot(path=target, full_page=True)
        browser.close()
    with Image.open(target) as image:
        shown = image.convert("RGB").crop((0, 0, _WIDTH, int(bottom) + 12))
    small = shown.resize((_WIDTH * 3 // 4, shown.height * 3 // 4), Image.Resampling.LANCZOS)
    coverage = Image.Quantize.MAXCOVERAGE  # keeps the colours of thin lines
    small.quantize(256, method=coverage, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        _write_video(video)
        words = ["-m", "moclip_lite", "serve", "--model", sys.argv[1], "--port", "0"]
        with subprocess.Popen(  # noqa: S603
            [sys.executable, *words], stderr=subprocess.PIPE, text=True
        ) as server:
            assert server.stderr is not None
            found = (re.search(r"serving .* at (http\S+)", line) for line in server.stderr)
            address = next((match[1] for match in found if match), None)
            if address is None:
                sys.exit("moclip serve did not start")
            try:
                _photograph(address, video, Path(__file__).parent / "images" / "page.png")
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
