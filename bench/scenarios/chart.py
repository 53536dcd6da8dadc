# SPDX-License-Identifier: Apache-2.0
"""A story's chart: four panels over the time of the run, as SVG."""
import math
from xml.sax.saxutils import escape

import world

COLOURS = {"direct": "#c2410c", "pgbouncer": "#1d4ed8", "pgweir-cache": "#15803d"}
WIDTH, HEIGHT = 1040, 700
LEFT, TOP, GAP_X, GAP_Y = 70, 96, 80, 74
PANEL_W, PANEL_H = (WIDTH - LEFT - GAP_X - 24) / 2, (HEIGHT - TOP - GAP_Y - 48) / 2
PANELS = (("p95 of the requests due in a second, ms (logarithmic)", "p95_ms", True),
          ("answered in a second (dashed: asked for)", "answered", False),
          ("failed, of those due in a second", "failed", False),
          ("server connections", "connections", False))


class Axis:
    """Values to pixels above the lower edge of a panel, and where the lines of the grid are."""

    def __init__(self, values, logarithmic):
        self.logarithmic = logarithmic
        high = max(values, default=1)
        if logarithmic:
            low = max(0.05, min((v for v in values if v > 0), default=1))
            self.low = math.floor(math.log10(low))
            self.high = max(self.low + 1, math.ceil(math.log10(max(high, low))))
            self.marks = [10.0 ** n for n in range(self.low, self.high + 1)]
        else:
            step = _step(max(high, 4))
            self.low, self.high = 0, step * math.ceil(max(high, 4) / step)
            self.marks = [step * n for n in range(int(self.high / step) + 1)]

    def place(self, value):
        if self.logarithmic:
            value = math.log10(max(value, 10.0 ** self.low))
        return (value - self.low) / (self.high - self.low) * PANEL_H


def _step(high):
    """A round step, of which four or so reach the highest value."""
    power = 10 ** math.floor(math.log10(high / 4))
    return next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= high / 4 * 0.99)


def _number(value):
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def _text(x, y, words, size=12, anchor="start", colour="#334155", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}" font-weight="{weight}">{escape(words)}</text>')


def _line(points, colour, dash=""):
    """Runs of points; None is a gap. A point alone is a dot."""
    out, piece = [], []
    for point in [*points, None]:
        if point is not None:
            piece.append(point)
            continue
        if len(piece) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in piece)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                       f'stroke-width="2.2" stroke-linejoin="round"{dash}/>')
        elif piece:
            out.append(f'<circle cx="{piece[0][0]:.1f}" cy="{piece[0][1]:.1f}" r="2.4" '
                       f'fill="{colour}"/>')
        piece = []
    return out


def _panel(number, title, key, logarithmic, results, course):
    x0 = LEFT + number % 2 * (PANEL_W + GAP_X)
    y0 = TOP + number // 2 * (PANEL_H + GAP_Y)
    across = lambda second: x0 + second / course.seconds * PANEL_W
    series = {name: one["series"] for name, one in results.items()}
    shown = [slot[key] for slots in series.values() for slot in slots if slot[key] is not None]
    asked = next(iter(series.values())) if key == "answered" else []
    axis = Axis(shown + [slot["asked"] for slot in asked], logarithmic)
    out = [_text(x0, y0 - 12, title, 13, weight="bold"),
           f'<rect x="{across(course.peak):.1f}" y="{y0:.1f}" '
           f'width="{across(course.fall) - across(course.peak):.1f}" height="{PANEL_H:.1f}" '
           'fill="#f1f5f9"/>']
    for mark in axis.marks:
        y = y0 + PANEL_H - axis.place(mark)
        out.append(f'<line x1="{x0:.1f}" y1="{y:.1f}" x2="{x0 + PANEL_W:.1f}" y2="{y:.1f}" '
                   'stroke="#cbd5e1" stroke-width="0.8"/>')
        out.append(_text(x0 - 8, y + 4, _number(mark), 11, "end"))
    step = _step(course.seconds)
    for n in range(int(course.seconds / step) + 1):
        out.append(_text(across(n * step), y0 + PANEL_H + 18, f"{n * step:g} s", 11, "middle"))
    point = lambda slot, value: (across(slot + 0.5), y0 + PANEL_H - axis.place(value))
    out += _line([point(n, slot["asked"]) for n, slot in enumerate(asked)], "#64748b",
                 ' stroke-dasharray="4 4"')
    for name, slots in series.items():
        out += _line([None if slot[key] is None else point(n, slot[key])
                      for n, slot in enumerate(slots)], COLOURS[name])
    return out


def draw(story, results, course):
    """The text of the SVG."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="DejaVu Sans, Helvetica, sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           _text(LEFT, 34, story.TITLE, 19, colour="#0f172a", weight="bold")]
    x = LEFT
    for name in results:
        out.append(f'<rect x="{x}" y="50" width="22" height="5" rx="2" fill="{COLOURS[name]}"/>')
        out.append(_text(x + 29, 57, world.TITLES[name], 13))
        x += 60 + 8 * len(world.TITLES[name])
    out.append(f'<rect x="{x}" y="46" width="22" height="13" fill="#f1f5f9" stroke="#cbd5e1"/>')
    out.append(_text(x + 29, 57, "the peak", 13))
    for number, (title, key, logarithmic) in enumerate(PANELS):
        out += _panel(number, title, key, logarithmic, results, course)
    return "\n".join(out) + "\n</svg>\n"
