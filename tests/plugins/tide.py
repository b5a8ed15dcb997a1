"""An example of a plugin: a persona whose talk follows the tide. It is named in PLUGINS, and docs/plugins.md explains it.

It raises everybody's chance while the tide is in, tells the model of it, signs every answer, and counts what happens.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from swwbot_site.lib.hooks import hookimpl

HEARD: Final[Counter[str]] = Counter()
"""How often each kind of event was heard by this process."""


@hookimpl
def weight(scene: Any, cast: Any) -> Mapping[str, Mapping[str, float]]:
    """High water: everybody's chance is ten times what it would be; only the gull stays silent."""
    return {"high water": {"*": 10.0, "gull": 0.0}} if "tide" in scene.message.text.lower() else {}


@hookimpl
def before_prompt(draft: Any) -> None:
    """The model knows the tide."""
    draft.system += "\n\nThe tide is in."


@hookimpl
def after_reply(draft: Any) -> None:
    """Every answer is signed; one that speaks of ebb is not posted."""
    if "ebb" in draft.raw.lower():
        draft.why = "nobody speaks of ebb"
    else:
        draft.text += " ~"


@hookimpl
def on_event(event: Any) -> None:
    """Count it."""
    HEARD[event.kind] += 1
