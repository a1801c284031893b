"""Drawing: values as safe HTML, their parts coloured by what an explanation found.

Teal speaks for, amber speaks against; the two are told apart by colour-blind readers, and words are
underlined (solid for, dotted against) so that colour is never the only sign. Every fragment carries
its own styles, takes the colour of the text around it, and so fits light and dark pages alike.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image as Pillow

from lepton_ai.data.field import Part

FOR, AGAINST = "#0f766e", "#b45309"
"""Colours of bars and lines: teal speaks for, amber against; 3:1 or more on white and on black."""
_GLOW_FOR, _GLOW_AGAINST = (45, 212, 191), (251, 146, 60)
# Okabe and Ito (2008), colours that stay distinct for colour-blind readers.
CLASS_COLOURS = (
    (0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0), (204, 121, 167), (240, 228, 66),
    (0, 114, 178),
)  # fmt: skip
SMALL, EXACT, LARGE = 128, 200, 400
"""Pictures below this height or width are shown enlarged with their pixels; above, scaled down."""

Weights = Mapping[Part, float]


# -- pictures ------------------------------------------------------------------------------


def picture_uri(picture: Pillow.Image) -> str:
    """A picture as a ``data:`` address that needs no request: small ones exact, large ones JPEG."""
    buffer = io.BytesIO()
    if max(picture.size) > EXACT:
        picture.save(buffer, format="JPEG", quality=88)
        kind = "jpeg"
    else:
        picture.save(buffer, format="PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture_html(
    picture: Pillow.Image, weights: Weights | None = None, *, heat: np.ndarray | None = None,
    alt: str = "picture",
) -> str:  # fmt: skip
    """A picture; with weights of patches or a heat map ``[height, width]`` their overlay on it.

    Example:
        >>> picture_html(Pillow.new("L", (8, 8)))[:10]
        '<img class'
    """
    if heat is None and weights:
        heat = patch_heat((picture.height, picture.width), weights)
    if heat is not None:
        picture = heat_overlay(picture, heat)
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    if max(picture.size) > LARGE:
        picture = picture.copy()
        picture.thumbnail((LARGE, LARGE))
    enlarged = max(1, -(-SMALL // max(picture.size)))
    crisp = "image-rendering:pixelated;" if enlarged > 1 and heat is None else ""
    width = picture.width * enlarged
    return (
        f'<img class="lai-picture" alt="{escape(alt)}" width="{width}" '
        f'height="{picture.height * enlarged}" style="{crisp}max-width:100%;height:auto;'
        f'border-radius:8px" src="{picture_uri(picture)}">'
    )


def patch_heat(size: tuple[int, int], weights: Weights) -> np.ndarray:
    """The weights of patches as a map ``[height, width]``, each pixel with its patch's weight."""
    heat = np.zeros(size)
    for part, weight in weights.items():
        if len(part.place) == 4:
            top, left, height, width = part.place
            heat[top : top + height, left : left + width] = weight
    return heat


def heat_overlay(picture: Pillow.Image, heat: np.ndarray) -> Pillow.Image:
    """The picture in grey, teal where the map is positive and amber where it is negative.

    Args:
        picture: Any picture; small ones are enlarged first so that the map is smooth on them.
        heat: Weights ``[height, width]`` of any scale; the largest is drawn strongest.
    """
    grey = picture.convert("L")
    enlarged = max(1, -(-SMALL // max(grey.size)))
    width, height = grey.width * enlarged, grey.height * enlarged
    # Half of the contrast is kept for the picture, so that the glow is seen on black and on white.
    ground = np.asarray(grey.resize((width, height), Pillow.Resampling.NEAREST), dtype=float)
    ground = 24 + ground * 0.62
    heat = _smooth(heat, max(heat.shape) / 32)  # single pixels of a gradient are mostly noise
    scale = np.quantile(np.abs(heat), 0.995) or np.abs(heat).max() or 1.0
    signed = Pillow.fromarray(np.clip(heat / scale, -1, 1).astype(np.float32))
    signed = np.asarray(signed.resize((width, height), Pillow.Resampling.BILINEAR))
    strength = (np.abs(signed) ** 0.8 * 0.85)[..., None]
    glow = np.where((signed >= 0)[..., None], _GLOW_FOR, _GLOW_AGAINST)
    mixed = ground[..., None] * (1 - strength) + glow * strength
    return Pillow.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _smooth(heat: np.ndarray, radius: float) -> np.ndarray:
    """A map blurred by a Gaussian of that radius in pixels; its edges are mirrored."""
    reach = min(int(3 * radius), min(heat.shape) - 1)
    if reach < 1:
        return heat
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    bell /= bell.sum()
    for axis in (0, 1):
        margin = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(heat, margin, mode="reflect"), len(bell), axis=axis
        )
        heat = windows @ bell
    return heat


def mask_html(mask: np.ndarray, classes: Sequence[str], picture: Pillow.Image | None = None) -> str:
    """A mask ``[height, width]`` in the colours of its classes, over its picture when given."""
    shape = mask.shape
    if picture is None:
        ground = np.full((*shape, 3), 28.0)
    else:
        ground = np.asarray(picture.convert("L").resize(shape[::-1]), dtype=float)
        ground = np.repeat(ground[..., None], 3, axis=2)
    legend = []
    for number in np.unique(mask):
        share = float((mask == number).mean())
        name = classes[number] if number < len(classes) else str(number)
        if number:
            colour = class_colour(int(number) - 1)
            chosen = mask == number
            ground[chosen] = ground[chosen] * 0.35 + np.array(colour) * 0.65
            dot = f"rgb({colour[0]},{colour[1]},{colour[2]})"
            legend.append(
                f'<span style="white-space:nowrap"><span style="display:inline-block;width:.7em;'
                f'height:.7em;border-radius:2px;background:{dot}"></span> {escape(str(name))} '
                f"{share:.1%}</span>"
            )
    drawn = picture_html(Pillow.fromarray(ground.astype(np.uint8)), alt="mask")
    text = " ".join(legend) or f"{escape(str(classes[0] if classes else 0))} 100%"
    return f'<span class="lai-mask">{drawn}<br><small>{text}</small></span>'


def class_colour(number: int) -> tuple[int, int, int]:
    """The colour of a class, always the same for the same number."""
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


# -- words ---------------------------------------------------------------------------------


def tint(weight: float) -> str:
    """Styles of a part with a weight of -1 to 1; none when it hardly counts.

    Example:
        >>> tint(0.0), "dotted" in tint(-1.0), "solid" in tint(1.0)
        ('', True, True)
    """
    strength = min(abs(weight), 1.0)
    if not strength >= 0.04:
        return ""
    red, green, blue = (15, 118, 110) if weight > 0 else (217, 119, 6)
    line, colour = ("solid", FOR) if weight > 0 else ("dotted", AGAINST)
    return (
        f"background:rgba({red},{green},{blue},{0.08 + 0.34 * strength:.2f});"
        f"border-bottom:2px {line} {colour};border-radius:3px 3px 0 0;padding:1px 2px"
    )


def _spot(text: str, weight: float) -> str:
    style = tint(weight)
    if not style:
        return escape(text)
    return f'<span style="{style}" title="{weight:+.2f}">{escape(text)}</span>'


def text_html(text: str, weights: Weights | None = None) -> str:
    """A text, its words coloured by the weights of parts placed at ``(start, stop)`` characters.

    Example:
        >>> text_html("a < b")
        '<span class="lai-text">a &lt; b</span>'
    """
    drawn, at = [], 0
    for part, weight in sorted((weights or {}).items(), key=lambda pair: pair[0].place):
        if len(part.place) != 2 or part.place[0] < at:
            continue
        start, stop = part.place
        drawn += [escape(text[at:start]), _spot(text[start:stop], weight)]
        at = stop
    drawn.append(escape(text[at:]))
    return f'<span class="lai-text">{"".join(drawn)}</span>'


def words_html(
    words: Sequence[str], weights: Weights | None = None, tags: Sequence[str] | None = None
) -> str:
    """Words coloured by the weights of parts placed at ``(index, index + 1)``, tags under them.

    Example:
        >>> words_html(["They", "run"])
        '<span class="lai-text">They run</span>'
    """
    by_place = {part.place[0]: weight for part, weight in (weights or {}).items() if part.place}
    drawn = [_spot(str(word), by_place.get(index, 0.0)) for index, word in enumerate(words)]
    if tags is not None:
        drawn = [
            '<span style="display:inline-block;text-align:center;margin:0 .2em .3em 0;'
            f'vertical-align:top">{word}<br><small style="opacity:.75">{escape(str(tag))}'
            "</small></span>"
            for word, tag in zip(drawn, tags, strict=False)
        ]
    return f'<span class="lai-text">{" ".join(drawn)}</span>'


# -- numbers -------------------------------------------------------------------------------


def bars_html(rows: Sequence[tuple[str, str, float]]) -> str:
    """Signed bars, for on the right and against on the left: rows of name, value and weight.

    Example:
        >>> "age" in bars_html([("age", "41", 0.5), ("height", "1.8", -0.2)])
        True
    """
    largest = max((abs(weight) for _, _, weight in rows), default=0.0) or 1.0
    body = "".join(_bar_row(name, value, weight, largest) for name, value, weight in rows)
    return (
        '<table class="lai-bars" style="border-collapse:collapse;width:100%;max-width:640px;'
        f'font-variant-numeric:tabular-nums">{body}</table>'
    )


def _bar_row(name: str, value: str, weight: float, largest: float) -> str:
    half = 50 * abs(weight) / largest
    left, colour = (50.0, FOR) if weight >= 0 else (50 - half, AGAINST)
    bar = (
        '<div style="position:relative;height:10px;background:rgba(128,138,150,.16);'
        f'border-radius:5px"><div style="position:absolute;left:{left:.1f}%;width:{half:.1f}%;'
        f'top:0;bottom:0;background:{colour};border-radius:5px"></div><div style="position:'
        'absolute;left:50%;top:-2px;bottom:-2px;width:1px;background:currentColor;opacity:.4">'
        "</div></div>"
    )
    cell = "padding:4px 8px 4px 0;text-align:left;font-weight:normal"
    return (
        f'<tr><th scope="row" style="{cell}">{escape(name)}</th>'
        f'<td style="{cell};opacity:.8">{escape(value)}</td>'
        f'<td style="width:50%;padding:4px 0">{bar}</td>'
        f'<td style="padding:4px 0 4px 10px;text-align:right">{weight:+.3f}</td></tr>'
    )


def share_bars_html(rows: Sequence[tuple[str, float]]) -> str:
    """Shares of 0 to 1 as bars with their figures: the scores of classes.

    Example:
        >>> "0.75" in share_bars_html([("cat", 0.75), ("dog", 0.25)])
        True
    """
    body = "".join(
        f'<tr><th scope="row" style="padding:4px 12px 4px 0;text-align:left;font-weight:normal">'
        f'{escape(name)}</th><td style="width:60%"><div style="height:8px;border-radius:4px;'
        f'background:rgba(128,138,150,.16)"><div style="height:8px;border-radius:4px;'
        f'background:{FOR};width:{100 * min(max(share, 0), 1):.1f}%"></div></div></td>'
        f'<td style="padding:4px 0 4px 10px;text-align:right">{share:.2f}</td></tr>'
        for name, share in rows
    )
    return (
        '<table class="lai-shares" style="border-collapse:collapse;width:100%;max-width:420px;'
        f'font-variant-numeric:tabular-nums">{body}</table>'
    )
