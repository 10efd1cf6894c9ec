"""Pictures as SVG text: lines on two axes, histograms, scatter plots. Every mark says what it is when the mouse is over it."""
import html
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 42
# Okabe and Ito's colours, which colour-blind readers can tell apart (yellow is too faint for a line); then the same with dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("", "6 3", "2 2")
MARKS = ("", "7 3", "2 3")   # of vertical lines
GREY = "#bbbbbb"
DISTINCT = 20   # colours that eyes tell apart


def colour(number: int) -> str:
    """The colour of the number-th series."""
    return COLOURS[number % len(COLOURS)]


class Axes:
    """Maps values to the places of a picture: x and y are (lowest, highest, function of a value)."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], fx: Callable[[float], float] = float,
                 fy: Callable[[float], float] = float):
        self.fx, self.fy = fx, fy
        self.x0, self.x1 = _apart(fx(x[0]), fx(x[1]))
        self.y0, self.y1 = _apart(fy(y[0]), fy(y[1]))

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (self.fx(x) - self.x0) / (self.x1 - self.x0)
        up = (self.fy(y) - self.y0) / (self.y1 - self.y0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_title: str, y_title: str) -> str:
        """Grid, numbers and titles."""
        parts = []
        for tick in x_ticks:
            x, _ = self.place(tick, y_ticks[0])
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                         f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
        for tick in y_ticks:
            _, y = self.place(x_ticks[0], tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                         f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{_text(x_title)}</text>'
                     f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{_text(y_title)}</text>')
        return "".join(parts)


def lines(series: dict[str, Sequence[tuple[float, float]]], x_title: str, y_title: str, axes: Axes | None = None,
          ticks: Sequence[float] | None = None) -> str:
    """Curves (legend -> points) with a legend below. axes, ticks: where they are not chosen from the points."""
    points = [point for curve in series.values() for point in curve]
    if not points:
        return ""
    xs, ys = zip(*points, strict=True)
    axes = axes or Axes((min(xs), max(xs)), (min(ys), max(ys)))
    frame = axes.frame(ticks or nice(min(xs), max(xs)), ticks or nice(min(ys), max(ys)), x_title, y_title)
    parts = []
    for number, (name, curve) in enumerate(series.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.place(*point) for point in curve))
        dash = DASHES[number // len(COLOURS) % len(DASHES)]
        parts.append(f'<polyline class="curve" data-points="{len(curve)}" points="{path}" stroke="{colour(number)}" '
                     f'stroke-dasharray="{dash}"><title>{_text(name)}</title></polyline>')
    return _svg(frame + "".join(parts)) + _legend(series)


def histogram(edges: Sequence[float], series: dict[str, Sequence[float]], marks: dict[str, float], x_title: str) -> str:
    """Steps (legend -> share of each bin between edges), and vertical lines (name -> x) such as thresholds."""
    axes = Axes((edges[0], edges[-1]), (0, max(max(shares) for shares in series.values())))
    frame = axes.frame(nice(edges[0], edges[-1]), [0], x_title, "share of the trials")
    parts = []
    for number, (name, shares) in enumerate(series.items()):
        corners = [(edges[0], 0.0)]
        for left, right, share in zip(edges, edges[1:], shares, strict=False):
            corners += [(left, share), (right, share)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.place(*corner) for corner in [*corners, (edges[-1], 0.0)]))
        parts.append(f'<polygon class="bins" data-points="{len(shares)}" points="{path}" fill="{colour(number)}" stroke="{colour(number)}">'
                     f'<title>{_text(name)}</title></polygon>')
    for number, (name, x) in enumerate(marks.items()):
        if edges[0] <= x <= edges[-1]:
            at, _ = axes.place(x, 0)
            parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
                         f'stroke-dasharray="{MARKS[number % len(MARKS)]}"><title>{_text(name)}: {x:.4g}</title></line>')
    said = "".join(f'<span><svg width="26" height="10"><line class="mark" x1="0" x2="26" y1="5" y2="5" '
                   f'stroke-dasharray="{MARKS[number % len(MARKS)]}"/></svg> {_text(name)}: {x:.4g}</span>'
                   for number, (name, x) in enumerate(marks.items()))
    return _svg(frame + "".join(parts)) + _legend(series) + f'<div class="legend">{said}</div>'


class Palette(NamedTuple):
    """What colours the points of a map. number: of each point's colour, -1: grey; names: of the colours; more: how many are grey."""

    number: list[int]
    names: list[str]
    colours: list[str]
    more: int


def palette(values: Sequence[str]) -> Palette:
    """A colour for each of at most DISTINCT values, those of the most points; beyond, grey."""
    counts = Counter(values)
    names = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:DISTINCT])
    place = {name: number for number, name in enumerate(names)}
    return Palette([place.get(value, -1) for value in values], names, distinct(len(names)), len(counts) - len(names))


def distinct(count: int) -> list[str]:
    """Colours that differ: those of lines while there are enough, else hues in even steps, darker and lighter in turn."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [f"hsl({360 * number / count:.0f},75%,{(36, 58)[number % 2]}%)" for number in range(count)]


def scatter(points: Sequence[tuple[float, float]], names: Sequence[str], groups: dict[str, Sequence[str]]) -> str:
    """Points with names; groups: what may colour them -> the group of each point. The page's script changes colours and legend."""
    xs, ys = zip(*points, strict=True)
    axes = Axes((min(xs), max(xs)), (min(ys), max(ys)))
    palettes = {kind: palette(values) for kind, values in groups.items()}
    first = next(iter(palettes.values()), None)
    parts = []
    for row, (point, name) in enumerate(zip(points, names, strict=True)):
        x, y = axes.place(*point)
        data = "".join(f' data-{kind}="{one.number[row]}"' for kind, one in palettes.items())
        fill = COLOURS[0] if first is None else first.colours[first.number[row]] if first.number[row] >= 0 else GREY
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}"{data}><title>{_text(name)}</title></circle>')
    legends = "".join(_dots(kind, one, shown=one is first) for kind, one in palettes.items())
    return _svg("".join(parts), "map") + legends


def _dots(kind: str, of: Palette, shown: bool) -> str:
    """The legend of a map while `kind` colours it."""
    items = [f'<span><svg width="10" height="10"><rect width="10" height="10" fill="{fill}"/></svg> {_text(name)}</span>'
             for name, fill in zip(of.names, of.colours, strict=True)]
    if of.more:
        items.append(f'<span><svg width="10" height="10"><rect width="10" height="10" fill="{GREY}"/></svg> {of.more} others; the '
                     f"{len(of.names)} with the most points have a colour</span>")
    colours = _text(json.dumps(of.colours))
    return f'<div class="legend" data-kind="{kind}" data-colours="{colours}"{"" if shown else " hidden"}>{"".join(items)}</div>'


def heatmap(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A confusion: a row for each true class, a column for each predicted one, shaded by its share of the row."""
    size = min(64.0, (WIDTH - LEFT - RIGHT) / len(names), (HEIGHT - TOP - BOTTOM) / len(names))
    parts = []
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        total = max(sum(line), 1)
        for column, count in enumerate(line):
            x, y, share = LEFT + 40 + column * size, TOP + row * size, count / total
            said = f"{name} taken for {names[column]}: {count} of {total}, {100 * share:.0f} %"
            parts.append(f'<rect class="share" x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" fill="{COLOURS[0]}" '
                         f'fill-opacity="{share:.3f}"><title>{_text(said)}</title></rect>')
            if size >= 26:
                ink = ' style="fill:#fff"' if share > 0.6 else ""
                parts.append(f'<text class="count" x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}"{ink}>{count}</text>')
        if size >= 11:
            at = TOP + (row + 0.5) * size + 4
            parts.append(f'<text x="{LEFT + 34}" y="{at:.1f}" text-anchor="end">{_text(_short(name))}</text>')
            middle, below = LEFT + 40 + (row + 0.5) * size, TOP + len(names) * size + 14
            parts.append(f'<text transform="translate({middle:.1f} {below:.1f}) rotate(30)">{_text(_short(name))}</text>')
    return _svg("".join(parts), "confusion") + '<div class="legend">row: the true class; column: the predicted one</div>'


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}\u2026"


def nice(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers from low to high."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _legend(series: dict) -> str:
    items = "".join(f'<span><svg width="26" height="10"><line x1="0" x2="26" y1="5" y2="5" stroke="{colour(number)}" stroke-width="2.5" '
                    f'stroke-dasharray="{DASHES[number // len(COLOURS) % len(DASHES)]}"/></svg> {_text(name)}</span>'
                    for number, name in enumerate(series))
    return f'<div class="legend">{items}</div>'


def _svg(content: str, kind: str = "plot") -> str:
    return f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">{content}</svg>'


def _text(text: str) -> str:
    return html.escape(str(text))
