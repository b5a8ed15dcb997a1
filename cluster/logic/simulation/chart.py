"""A picture of a run: what each server had in memory over time. Shapes as values, and as SVG; whoever wants pixels draws the shapes.

Each server is a band as high as its memory; each model a colour, pale while it loads; what is grey is free. The picture has one column
for each pixel of its width, so that it stays small however long the run was: what stayed shorter than a column may not be seen.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

from cluster.logic.simulation.run import Result
from cluster.logic.simulation.values import Fleet
from cluster.logic.simulation.world import Stay

WIDTH: Final = 1200.0
LEFT: Final = 150.0
RIGHT: Final = 30.0
TOP: Final = 64.0
COLUMNS: Final = int(WIDTH - LEFT - RIGHT)
GAP: Final = 8.0
LEGEND_ROW, LEGEND_COLUMNS = 20.0, 4
COLOURS: Final = (
    *("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#2f4b7c", "#a05195"),
)
OTHERS: Final = ("#8d8d8d", "#a6a6a6", "#787878")
FREE, INK, FAINT, PAPER = "#eceff1", "#263238", "#607d8b", "#ffffff"
PALE: Final = 0.35
"""How much of its colour a model has while it loads."""

STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400)
"""Seconds between two marks of the axis of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    fill: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text; `y` is its base line, `x` its start, middle or end."""

    x: float
    y: float
    text: str
    size: int = 12
    anchor: Literal["start", "middle", "end"] = "start"
    fill: str = INK


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Shapes in the order in which they are drawn."""

    width: float
    height: float
    shapes: tuple[Box | Label, ...]


def memory(result: Result, fleet: Fleet, title: str, subtitle: str) -> Picture:
    """What each server had in memory over time."""
    ranks = _ranks(result.stays, result.end)
    names = list(fleet.models)
    colours = {model_id: COLOURS[rank] if rank < len(COLOURS) else OTHERS[rank % len(OTHERS)] for model_id, rank in ranks.items()}
    shapes: list[Box | Label] = [
        Label(x=LEFT, y=26, text=title, size=18),
        Label(x=LEFT, y=46, text=subtitle, fill=FAINT),
    ]
    most = max(machine.memory_gb for machine in fleet.servers)
    scale = max(24.0, min(110.0, 1600.0 / len(fleet.servers))) / most
    span = max(1e-9, result.end - result.begin)
    y = TOP
    for server_id, machine in enumerate(fleet.servers, 1):
        height = max(12.0, machine.memory_gb * scale)
        shapes.append(Box(x=LEFT, y=y, width=COLUMNS, height=height, fill=FREE))
        shapes.append(Label(x=LEFT - 8, y=y + height / 2, text=_cut(machine.name, 20), anchor="end"))
        shapes.append(Label(x=LEFT - 8, y=y + height / 2 + 13, text=f"{machine.memory_gb:g} GB", size=10, anchor="end", fill=FAINT))
        here = [stay for stay in result.stays if stay.server_id == server_id]
        shapes.extend(_band(here, ranks, colours, result.begin, span, y + height, height / machine.memory_gb))
        y += height + GAP
    shapes.extend(_axis(span, y))
    y += 40
    shapes.extend(_legend(ranks, names, y))
    rows = math.ceil((min(len(ranks), len(COLOURS)) + 2) / LEGEND_COLUMNS)
    return Picture(width=WIDTH, height=y + rows * LEGEND_ROW + 10, shapes=tuple(shapes))


def _ranks(stays: Iterable[Stay], end: float) -> dict[int, int]:
    """Models by how much memory they took for how long, the most first: the order of colours, and from the bottom of a band."""
    spent: defaultdict[int, float] = defaultdict(float)
    for stay in stays:
        spent[stay.model_id] += stay.gb * ((end if stay.end is None else stay.end) - stay.begin)
    return {model_id: rank for rank, model_id in enumerate(sorted(spent, key=lambda one: (-spent[one], one)))}


def _band(
    stays: Sequence[Stay], ranks: dict[int, int], colours: dict[int, str], begin: float, span: float, bottom: float, gb: float
) -> Iterable[Box]:
    """One server's models, column by column, equal neighbours as one box. `gb` is the height of one."""
    columns: list[list[tuple[int, int, bool, float]]] = [[] for _ in range(COLUMNS)]
    for number, stay in enumerate(stays):
        first = math.ceil((stay.begin - begin) / span * COLUMNS - 0.5)
        last = COLUMNS if stay.end is None else math.ceil((stay.end - begin) / span * COLUMNS - 0.5)
        ready = COLUMNS if stay.loaded is None else math.ceil((stay.loaded - begin) / span * COLUMNS - 0.5)
        for column in range(max(0, first), min(COLUMNS, last)):
            columns[column].append((ranks[stay.model_id], number, column < ready, stay.gb))
    begun = 0
    for column in range(1, COLUMNS + 1):
        columns[column - 1].sort()
        if column < COLUMNS and sorted(columns[column]) == columns[begun]:
            continue
        y = bottom
        for _, number, loading, size in columns[begun]:
            y -= size * gb
            colour = colours[stays[number].model_id]
            fill = _pale(colour) if loading else colour
            yield Box(x=LEFT + begun, y=round(y, 2), width=float(column - begun), height=round(size * gb, 2), fill=fill)
        begun = column


def _pale(colour: str) -> str:
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * PALE):02x}" for part in parts)


def _axis(span: float, y: float) -> Iterable[Box | Label]:
    step = next((one for one in STEPS if span / one <= 12), STEPS[-1] * math.ceil(span / STEPS[-1] / 12))
    unit, name = (3600, "h") if step >= 3600 else (60, "min") if step >= 60 else (1, "s")
    for mark in range(int(span // step) + 1):
        x = LEFT + mark * step / span * COLUMNS
        yield Box(x=round(x, 2), y=TOP - 4, width=0.6, height=y - TOP + 6, fill="#b0bec5")
        yield Label(x=x, y=y + 16, text=f"{mark * step / unit:g} {name}", size=11, anchor="middle", fill=FAINT)


def _legend(ranks: dict[int, int], names: Sequence[str], y: float) -> Iterable[Box | Label]:
    entries = [(COLOURS[rank], names[model_id - 1]) for model_id, rank in ranks.items() if rank < len(COLOURS)]
    if len(ranks) > len(COLOURS):
        entries.append((OTHERS[0], f"{len(ranks) - len(COLOURS)} others"))
    entries.extend([(_pale(COLOURS[0]), "pale: loading"), (FREE, "free")])
    width = COLUMNS / LEGEND_COLUMNS
    for index, (colour, text) in enumerate(entries):
        x, row = LEFT + index % LEGEND_COLUMNS * width, y + index // LEGEND_COLUMNS * LEGEND_ROW
        yield Box(x=x, y=row, width=12, height=12, fill=colour)
        yield Label(x=x + 18, y=row + 10.5, text=_cut(text, 34))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def svg(picture: Picture) -> str:
    """The picture as an SVG document."""
    size = f'width="{picture.width:g}" height="{picture.height:g}" viewBox="0 0 {picture.width:g} {picture.height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" shape-rendering="crispEdges">'
    lines = [head, f'<rect width="100%" height="100%" fill="{PAPER}"/>']
    for one in picture.shapes:
        if isinstance(one, Box):
            lines.append(f'<rect x="{one.x:g}" y="{one.y:g}" width="{one.width:g}" height="{one.height:g}" fill="{one.fill}"/>')
        else:
            place = f'x="{one.x:g}" y="{one.y:g}" font-size="{one.size}" text-anchor="{one.anchor}" fill="{one.fill}"'
            lines.append(f"<text {place}>{escape(one.text)}</text>")
    return "\n".join([*lines, "</svg>", ""])
