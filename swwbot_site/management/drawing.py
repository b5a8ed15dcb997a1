"""Pictures as pixels. Drawn with Pillow, which is an extra (`plot`): nothing else of the bot needs it."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, Final

from cluster.logic.simulation.chart import PAPER, Box, Picture
from swwbot_site.lib.errors import BotError, Fault

SCALE: Final = 2
"""Pixels for each unit of the picture: sharp on fine screens."""

LIBRARY = "PIL"
ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}


class NoDrawingError(BotError):
    """What draws pixels is not installed."""

    code = "no-drawing"
    fault = Fault.OPERATOR


def ready() -> None:
    """Raise NoDrawingError unless `png` could work."""
    if importlib.util.find_spec(LIBRARY) is None:
        raise NoDrawingError("A PNG needs Pillow, which is not installed: run pip install pillow, or write an .svg, which needs nothing.")


def png(picture: Picture, path: Path) -> None:
    """Write the picture as a PNG file. Raises NoDrawingError without Pillow."""
    ready()
    image_module: Any = importlib.import_module(f"{LIBRARY}.Image")
    draw_module: Any = importlib.import_module(f"{LIBRARY}.ImageDraw")
    font_module: Any = importlib.import_module(f"{LIBRARY}.ImageFont")
    image = image_module.new("RGB", (round(picture.width * SCALE), round(picture.height * SCALE)), PAPER)
    draw = draw_module.Draw(image)
    for one in picture.shapes:
        if isinstance(one, Box):
            left, top = round(one.x * SCALE), round(one.y * SCALE)
            right, bottom = round((one.x + one.width) * SCALE), round((one.y + one.height) * SCALE)
            if right > left and bottom > top:
                draw.rectangle((left, top, right - 1, bottom - 1), fill=one.fill)
        else:
            font = font_module.load_default(one.size * SCALE)
            draw.text((one.x * SCALE, one.y * SCALE), one.text, fill=one.fill, font=font, anchor=ANCHORS[one.anchor])
    image.save(path)
