"""The page in a real browser: Debian's chromium, driven by Playwright; skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moclip_lite.datasets.synthetic.pictures import render_clip

from support.clips import H264, encode
from support.serving import Serving, serving
from support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DROP = """async (name) => {
  const bytes = Uint8Array.from(atob(window.dropped), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "video/mp4" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.querySelector("#drop").dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
STUCK = 150.0  # seconds; a browser may stand still now and then, and the test is then done once more
TOKEN = "the-token-of-this-test"
SLOW_DECODING = """{
  const start = window.setTimeout;
  window.setTimeout = (call, wait, ...rest) => start(call, wait >= 5000 ? 60 * wait : wait, ...rest);
}"""
"""The page gives a browser seconds to decode a first picture; on a machine with other work they are too few."""
VIDEO_STATE = """() => {
  const { paused, ended, seeking, currentTime, readyState, networkState, error } = document.querySelector("#video");
  return { paused, ended, seeking, currentTime, readyState, networkState, error: error?.message,
    play: document.querySelector("#play").textContent, notes: document.querySelector("#notes").textContent,
    focus: document.activeElement.id, visible: document.visibilityState };
}"""
PAINTED = """() => {
  const canvas = document.querySelector("#canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let painted = 0;
  for (let i = 3; i < data.length; i += 4) painted += data[i] > 0;
  return painted;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=1000 * PATIENCE
        )
        yield running
        running.close()


@pytest.fixture
def server(real_server: Serving) -> Serving:
    """The shared one."""
    return real_server


@pytest.fixture
def clips(root: Path) -> Path:
    """The folder of clips."""
    return root


def new_context(browser: Browser) -> BrowserContext:
    """A window that waits long for the browser, as the page in it does."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * STUCK)
    context.add_init_script(SLOW_DECODING)
    return context


@pytest.fixture
def page(browser: Browser, server: Serving) -> Iterator[Page]:
    """The page; it must log no error and ask no other server."""
    problems: list[str] = []
    context = new_context(browser)
    opened = context.new_page()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security" in message.text else None,
    )
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"http://127.0.0.1:{server.port}/")
    opened.wait_for_selector("#start-view:not([hidden])")
    yield opened
    context.close()
    assert problems == []
    local = (f"http://127.0.0.1:{server.port}/", f"blob:http://127.0.0.1:{server.port}/")
    assert all(url.startswith(local) for url in asked)


def choose(page: Page, clip: Path) -> None:
    """Choose a file and wait for its result."""
    page.set_input_files("#file", clip)
    wait_for_result(page)


def wait_until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true; asked by a timer, as a page that is not drawn has no frames."""
    from playwright.sync_api import TimeoutError as TookTooLong

    try:
        page.wait_for_function(f"() => {condition}", polling=100)
    except TookTooLong:
        raise AssertionError(f"waited in vain for {condition}: {page.evaluate(VIDEO_STATE)}") from None


def wait_for_result(page: Page) -> None:
    """Wait until the result is complete: its title has the focus, and the vectors at the cursor are loaded."""
    page.wait_for_selector("#result-view:not([hidden])")
    wait_until(page, "document.activeElement.id === 'result-title'")
    wait_until(page, "document.querySelector('#now-picture').textContent.includes(',')")


def seconds(page: Page) -> float:
    return float(page.get_attribute("#timeline", "aria-valuenow") or "nan")


def test_drop_a_clip_see_the_timeline_seek_download(page: Page, clips: Path) -> None:
    import base64

    content = base64.b64encode((clips / "clip.mp4").read_bytes()).decode()
    page.evaluate("(data) => { window.dropped = data; }", content)
    page.evaluate(DROP, "dropped clip.mp4")
    wait_for_result(page)
    assert page.text_content("#result-name") == "dropped clip.mp4"
    assert page.locator("#timeline .block").count() >= 1
    assert page.locator("#timeline .curve").count() == 3
    assert page.locator("#timeline .energy").count() == 1

    page.locator("#timeline").scroll_into_view_if_needed()
    box: Any = page.locator("#timeline svg").bounding_box()
    page.mouse.click(box["x"] + 34 + (box["width"] - 34) / 2, box["y"] + 60)
    assert seconds(page) == pytest.approx(1.44, abs=0.05)
    wait_until(page, "Math.abs(document.querySelector('#video').currentTime - 1.44) < 0.05")
    wait_until(page, f"({PAINTED})() > 100")
    page.select_option("#vectors", "off")
    assert page.evaluate(PAINTED) == 0

    for kind, beginning in (("csv", "video,start"), ("json", "{"), ("vtt", "WEBVTT")):
        with page.expect_download() as download:
            page.click(f'#downloads a[href$=".{kind}"]')
        assert download.value.suggested_filename == f"dropped clip.{kind}"
        assert Path(download.value.path()).read_text(encoding="utf-8").startswith(beginning)


def test_the_keyboard_alone(page: Page, clips: Path) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    choose(page, clips / "clip.mp4")
    page.focus("#timeline")
    for key, expected in (
        ("End", 2.88),
        ("ArrowLeft", 1.88),
        ("Home", 0.0),
        ("ArrowRight", 1.0),
        ("PageUp", 2.88),
    ):
        page.keyboard.press(key)
        assert seconds(page) == pytest.approx(expected, abs=0.05), key
    page.keyboard.press("Home")
    page.keyboard.press(".")
    page.keyboard.press(".")
    wait_until(page, "document.querySelector('#now-picture').textContent.startsWith('2,')")
    page.keyboard.press(",")
    wait_until(page, "document.querySelector('#now-picture').textContent.startsWith('1,')")
    # At the slowest speed: on a busy machine the clip would have ended when the page is asked next. Only a few
    # pictures: Chromium without a display sometimes stops for good when its decoder falls behind.
    page.select_option("#speed", "0.25")
    page.focus("#timeline")
    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('#play').textContent === 'Pause'")
    wait_until(page, "Number(document.querySelector('#timeline').getAttribute('aria-valuenow')) > 0.1")
    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('#play').textContent === 'Play'")
    words = page.get_attribute("#timeline", "aria-valuetext") or ""
    assert "0:03" in words
    page.focus("#segments button")
    page.keyboard.press("Enter")
    assert seconds(page) == pytest.approx(0, abs=0.05)


KEYS = [("End", 2.88), ("ArrowLeft", 1.88), ("Home", 0.0), ("ArrowRight", 1.0), (".", 1.04), (",", 1.0)]


@pytest.mark.parametrize(
    "focused", ["body", "#main", "#result-title", "#timeline", "#play", "#segments button"]
)
def test_keys_work_wherever_the_focus_is(focused: str, page: Page, clips: Path) -> None:
    choose(page, clips / "clip.mp4")
    page.evaluate("document.activeElement.blur()")
    if focused != "body":
        page.focus(focused)
    for key, expected in KEYS:
        page.keyboard.press(key)
        assert seconds(page) == pytest.approx(expected, abs=0.01), key


def test_a_chosen_speed_keeps_its_keys(page: Page, clips: Path) -> None:
    choose(page, clips / "clip.mp4")
    page.focus("#speed")
    page.keyboard.press("Home")
    assert page.input_value("#speed") == "0.25"
    page.keyboard.press("ArrowDown")
    assert page.input_value("#speed") == "0.5"
    assert seconds(page) == 0


@pytest.mark.parametrize("pictures", [1, 24])
def test_the_last_segment_includes_the_end(pictures: int, page: Page, tmp_path: Path) -> None:
    shown = render_clip("bricks", "pan_left", pictures, (1, 1), (96, 80))[0]
    choose(page, encode(tmp_path / "short.mp4", shown, **H264))
    page.keyboard.press("End")
    last = page.locator("#segments tr").last
    assert last.get_attribute("aria-current") == "true"
    assert "no label" not in str(page.get_attribute("#timeline", "aria-valuetext"))
    assert "no segment" not in str(page.text_content("#now-sure"))


def test_a_long_name_is_shown_from_beginning_to_end(page: Page, clips: Path, tmp_path: Path) -> None:
    name = f"a_very_long_file_name_{'x' * 150}_take_2.mp4"
    choose(page, Path(shutil.copy(clips / "clip.mp4", tmp_path / name)))
    shown = str(page.text_content("#result-name"))
    assert shown.startswith("a_very_long_file_name_xxx")
    assert shown.endswith("xxx_take_2.mp4")
    assert "…" in shown
    assert page.get_attribute("#result-name", "title") == name


def test_playing_that_fails_is_told(page: Page, clips: Path) -> None:
    choose(page, clips / "clip.mp4")
    page.evaluate(
        "() => { document.querySelector('#video').play ="
        " () => Promise.reject(new DOMException('the decoder is gone', 'NotSupportedError')) }"
    )
    page.click("#play")
    page.click("#play")
    wait_until(page, "document.querySelector('#notes').textContent.includes('the decoder is gone')")
    assert page.locator("#notes li", has_text="the decoder is gone").count() == 1
    assert page.is_visible("#notes-view")


def test_a_clip_that_the_browser_cannot_play(page: Page, clips: Path) -> None:
    choose(page, clips / "old.avi")
    assert "small copy" in (page.text_content("#notes") or "")
    assert page.evaluate("document.querySelector('#video').videoWidth") > 0
    assert page.evaluate("document.querySelector('#video').duration") == pytest.approx(2.88, abs=0.05)
    assert page.is_enabled("#play")


def test_a_list_of_paths_says_that_it_is_not_whole(page: Page) -> None:
    """The answer is made up: the server has few files."""
    assert page.is_hidden("#more-paths")
    answer = {"paths": [f"sub/{number}.mp4" for number in range(500)], "more": True}
    page.route("**/api/files?folder=sub*", lambda route: route.fulfill(json=answer))
    page.fill("#path", "sub/")
    page.wait_for_selector("#more-paths:not([hidden])")
    assert "first 500 names of sub/ are offered" in str(page.text_content("#more-paths"))
    page.fill("#path", "clip")
    wait_until(page, "document.querySelector('#more-paths').hidden")


def test_a_path_below_the_root(page: Page) -> None:
    page.fill("#path", "clip.mp4")
    page.press("#path", "Enter")
    wait_for_result(page)
    assert page.evaluate("document.querySelector('#video').videoWidth") > 0
    page.click("#again")
    page.fill("#path", "../secret.mp4")
    page.press("#path", "Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert "no such video file" in (page.text_content("#error") or "")


def test_a_broken_file_shows_its_sentence(page: Page, clips: Path) -> None:
    page.set_input_files("#file", clips / "broken.mp4")
    page.wait_for_selector("#error:not([hidden])")
    assert "broken.mp4: not a video file that can be opened" in (page.text_content("#error") or "")
    assert page.get_attribute("#error", "role") == "alert"
    assert page.is_visible("#drop")
    choose(page, clips / "clip.mp4")
    assert not page.is_visible("#error")


def test_a_file_above_the_limit_is_not_sent(page: Page, tmp_path: Path) -> None:
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(6_000_000)
    page.set_input_files("#file", tmp_path / "large.mp4")
    page.wait_for_selector("#error:not([hidden])")
    assert "up to 5 MB" in (page.text_content("#error") or "")


def test_results_go_with_the_page(page: Page, clips: Path, server: Serving) -> None:
    before = server.jobs()
    choose(page, clips / "clip.mp4")
    (job,) = server.jobs() - before
    page.goto("about:blank")
    until(lambda: job not in server.jobs())


def test_a_page_left_and_returned_to_starts_anew(page: Page, clips: Path) -> None:
    choose(page, clips / "clip.mp4")
    page.goto("about:blank")
    page.go_back()
    page.wait_for_selector("#start-view:not([hidden])")
    assert page.is_hidden("#result-view")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen_and_all_has_a_name(width: int, page: Page, clips: Path) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    choose(page, clips / "clip.mp4")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = """() => [...document.querySelectorAll("button, a, input, select, [role=slider], canvas")]
      .filter((e) => e.offsetParent !== null)
      .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim())).length"""
    assert page.evaluate(unnamed) == 0
    small = """() => [...document.querySelectorAll("#result-view button, #result-view select, #result-view a.button")]
      .filter((e) => e.offsetParent !== null && e.getBoundingClientRect().height < 36).length"""
    assert page.evaluate(small) == 0
    for landmark in ("banner", "main", "navigation"):
        assert page.get_by_role(landmark).count() == 1  # type: ignore[arg-type]
    assert page.get_by_role("heading", level=1).count() == 1


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that demands a token."""
    with serving(tmp_path_factory.mktemp("closed"), token=TOKEN) as running:
        yield running


def test_a_wrong_token_is_told(browser: Browser, closed: Serving) -> None:
    context = new_context(browser)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{closed.port}/")
    page.wait_for_selector("#token-view:not([hidden])")
    page.fill("#token", "not the right token")
    page.keyboard.press("Enter")
    page.wait_for_selector("#error:not([hidden])")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("#start-view:not([hidden])")
    assert not page.is_visible("#error")
    context.close()


def test_the_address_with_the_token_opens_the_page(browser: Browser, closed: Serving) -> None:
    context = new_context(browser)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{closed.port}/#token={TOKEN}")
    page.wait_for_selector("#start-view:not([hidden])")
    assert TOKEN not in page.url
    assert not any(TOKEN in url for url in asked)
    context.close()
