"""Drawing: fragments are safe, say with more than colour what they say, and need nothing else."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image as Pillow

from lepton_ai.data.field import Part
from lepton_ai.data.fields import drawing

BAD = "<img src=x onerror=alert(1)>"


def picture_of(html: str) -> Pillow.Image:
    found = re.search(r'src="data:image/\w+;base64,([^"]+)"', html)
    assert found is not None
    return Pillow.open(io.BytesIO(base64.b64decode(found[1])))


def test_small_pictures_are_enlarged_with_their_pixels() -> None:
    html = drawing.picture_html(Pillow.new("L", (28, 28), 7))
    assert "pixelated" in html
    assert 'width="140"' in html
    drawn = picture_of(html)
    assert drawn.size == (28, 28)
    assert drawn.getpixel((3, 3)) == 7


def test_large_pictures_are_sent_small() -> None:
    rng = np.random.default_rng(0)
    pixels = np.asarray(
        Pillow.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)).resize((2000, 1500))
    )
    html = drawing.picture_html(Pillow.fromarray(pixels))
    assert max(picture_of(html).size) == drawing.LARGE
    assert len(html) < 200_000


@pytest.mark.parametrize("ground", [0, 255])
def test_heat_is_teal_for_and_amber_against_on_dark_and_bright(ground: int) -> None:
    heat = np.zeros((32, 32))
    heat[4:12, 4:12], heat[20:28, 20:28] = 1.0, -1.0
    drawn = np.asarray(drawing.heat_overlay(Pillow.new("L", (32, 32), ground), heat)).astype(int)
    scale = drawn.shape[0] // 32
    for_, against, nothing = (drawn[p * scale, p * scale] for p in (8, 24, 16))
    assert for_[1] > for_[0] + 40
    assert against[0] > against[2] + 40
    assert np.ptp(nothing) < 30


def test_patches_lie_where_they_are() -> None:
    heat = drawing.patch_heat((4, 6), {Part("a", (0, 3, 2, 3)): 0.5, Part("b", (2, 0, 2, 3)): -1.0})
    assert heat[0, 3:].tolist() == [0.5] * 3
    assert heat[3].tolist() == [-1.0] * 3 + [0.0] * 3


def test_words_are_coloured_where_they_stand_and_escaped() -> None:
    text = f"good {BAD} bad"
    html = drawing.text_html(
        text, {Part("good", (0, 4)): 1.0, Part("bad", (len(text) - 3, len(text))): -0.5}
    )
    assert "<img" not in html
    assert re.search(r"solid[^>]*>good<", html)
    assert re.search(r"dotted[^>]*>bad<", html)
    plain = re.sub(r"<[^>]+>", "", html)
    assert plain == "good &lt;img src=x onerror=alert(1)&gt; bad"


def test_words_with_tags() -> None:
    html = drawing.words_html(["They", BAD], {Part("They", (0, 1)): 0.9}, tags=["PRON", "<X>"])
    assert "<img" not in html
    assert "&lt;X&gt;" in html
    assert "solid" in html


def test_masks_name_their_classes_with_their_share() -> None:
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[:5] = 1
    html = drawing.mask_html(mask, ["ground", BAD], Pillow.new("RGB", (20, 20)))
    assert html.count("<img") == 1
    assert "50.0%" in html
    assert picture_of(html).getpixel((2, 2)) != picture_of(html).getpixel((2, 8))


def test_bars_are_signed() -> None:
    html = drawing.bars_html([("age", "41", 0.5), (BAD, "1", -0.25)])
    assert "<img" not in html
    assert "+0.500" in html
    assert "-0.250" in html
    assert drawing.FOR in html
    assert drawing.AGAINST in html
    assert drawing.bars_html([]).startswith("<table")


def test_weights_that_are_no_numbers_colour_nothing() -> None:
    assert drawing.tint(float("nan")) == ""
