"""The page in a real Chromium: a picture is dropped and its prediction is read."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import lepton_ai as lai

ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

DROP = """([encoded, name]) => {
  const raw = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([raw], name, { type: "image/png" }));
  const zone = document.querySelector(".drop");
  for (const name of ["dragover", "drop"]) {
    const details = { dataTransfer: transfer, bubbles: true, cancelable: true };
    zone.dispatchEvent(new DragEvent(name, details));
  }
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Any, service: Any) -> Iterator[Any]:
    """Opens pages, and notes what goes wrong or leaves the machine."""
    troubles: list[str] = []

    def open_page(path: str, *, url: str | None = None, **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console", lambda told: troubles.append(told.text) if told.type == "error" else None
        )
        own = (url or service.url, "data:", "about:", "blob:")
        page.on(
            "request",
            lambda request: None if request.url.startswith(own) else troubles.append(request.url),
        )
        page.goto((url or service.url) + path)
        page.wait_for_selector("html[data-loaded]")
        return page

    yield open_page
    assert troubles == []


def test_a_dropped_picture_is_predicted_and_explained(
    watched: Any, files: list[bytes], model: Any
) -> None:
    page = watched("/models/shapes")
    assert page.locator("#state").inner_text() == "checked on 8 golden examples"
    page.evaluate(DROP, [base64.b64encode(files[1]).decode(), "shape.png"])
    page.wait_for_selector("#output .decision")
    expected = model.predict([files[1]])
    assert page.locator("#output .decision").inner_text() == expected["label"][0].as_py()
    shares = page.locator("#output .bars dd:last-child").all_inner_texts()
    assert shares == [f"{100 * s:.1f} %" for s in sorted(expected["label.scores"][0], reverse=True)]
    page.click("#explain")
    frame = page.wait_for_selector("iframe.why-frame")
    assert "allow-scripts" not in frame.get_attribute("sandbox")
    inside = frame.content_frame()
    inside.wait_for_selector("img")
    assert inside.locator("img").count() == 2
    page.click("#clear")
    assert page.locator("#output .empty").is_visible()
    assert not page.locator("#why").is_visible()


def test_a_chosen_file_an_example_and_a_bad_file(watched: Any, files: list[bytes]) -> None:
    page = watched("/models/shapes")
    page.set_input_files(
        ".drop input", {"name": "a.png", "mimeType": "image/png", "buffer": files[0]}
    )
    page.wait_for_selector("#output .decision")
    page.locator("#examples button").nth(2).click()
    page.wait_for_selector("#examples button:nth-child(3)[aria-pressed=true]")
    page.wait_for_selector("#output .decision")
    page.set_input_files(
        ".drop input", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"}
    )
    assert page.locator("#output [role=alert]").inner_text() == "This file is not a picture."


def test_chinese_by_the_browser_and_by_the_switch(watched: Any) -> None:
    page = watched("/models/shapes", locale="zh-CN")
    assert page.locator("#output-title").inner_text() == "预测结果"
    page.click("#languages button[lang=en]")
    assert page.locator("#output-title").inner_text() == "Prediction"
    assert page.evaluate("document.documentElement.lang") == "en"
    page.reload()
    page.wait_for_selector("html[data-loaded]")
    assert page.locator("#output-title").inner_text() == "Prediction"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(watched: Any, width: int, scheme: str) -> None:
    size = {"width": width, "height": 844}
    page = watched("/models/shapes", viewport=size, color_scheme=scheme)
    page.locator("#examples button").first.click()
    page.wait_for_selector("#output .decision")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 27, 34)"}[scheme]


def test_the_list_leads_to_the_page_by_keyboard(watched: Any) -> None:
    page = watched("/")
    page.locator(".shelf a").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#fields .drop")
    assert page.locator("h1").inner_text() == "shapes"


def test_names_of_classes_stay_text(watched: Any, pictures: Any) -> None:
    """A class that is named like markup is shown as its name."""
    evil = "<img src=x onerror=alert(1)>"
    data = {"image": pictures[:4], "label": [evil, "b"] * 2}
    model = lai.Model("convnet", "image_classification", filters=(4,)).bind(data, seed=0)
    model.golden = model.task.typed(lai.Dataset(data))
    with lai.serve({"evil": model}, port=0) as service:
        page = watched("/models/evil", url=service.url)
        page.locator("#examples button").first.click()
        page.wait_for_selector("#output .decision")
        assert evil in page.locator("#output .bars dt").all_inner_texts()
        page.click("#explain")
        page.wait_for_selector("iframe.why-frame")
        assert page.locator("img[src=x]").count() == 0
