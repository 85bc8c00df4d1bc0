"""A sequential colour scale for shares: lightness alone orders it, so it reads the same with any colour vision.

Colours are mixed in Oklab (Ottosson 2020), where equal steps look equal, between anchors of one yellow-to-blue path.
"""

from __future__ import annotations

Triple = tuple[float, float, float]

LIGHT = ("#fbf6e4", "#a9d3c4", "#4b94b8", "#1f4f8f", "#14275c")
DARK = ("#1c2230", "#1f4a6e", "#2f7f93", "#7fbf9f", "#f3e9b0")
"""Anchors from a share of 0 to 1, for a light page and a dark one: what teaches most stands out most."""
INKS = ("#ffffff", "#000000")
"""Pure ones: only these two contrast by 4.5 or more with every colour there is."""


def fill(share: float, anchors: tuple[str, ...] = LIGHT) -> str:
    """The background of a share in [0, 1], as #rrggbb."""
    at = min(1.0, max(0.0, share)) * (len(anchors) - 1)
    index = min(int(at), len(anchors) - 2)
    low, high = _oklab(_linear(anchors[index])), _oklab(_linear(anchors[index + 1]))
    l, a, b = (x + (y - x) * (at - index) for x, y in zip(low, high, strict=True))  # noqa: E741
    return "#" + "".join(f"{round(255 * _encoded(c)):02x}" for c in _rgb((l, a, b)))


def ink(background: str) -> str:
    """The text colour that contrasts more with a background."""
    return max(INKS, key=lambda text: contrast(text, background))


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(colour: str) -> Triple:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return _decoded(red), _decoded(green), _decoded(blue)


def _decoded(c: float) -> float:
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4


def _encoded(c: float) -> float:
    c = min(1.0, max(0.0, c))
    return float(12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055)


def _oklab(rgb: Triple) -> Triple:
    r, g, b = rgb
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _rgb(lab: Triple) -> Triple:
    l, a, b = lab  # noqa: E741  Oklab's own name for lightness
    long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (l - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
