"""Newlines that were escaped twice: a backslash and an n where a line break was meant."""

import re
from collections.abc import Mapping
from typing import Any, Final

from swwbot_site.config.problems import Findings, step

MARKS: Final = ("stop", "filterOut", "trimAfter", "globalStopSequences", "globalFilterOut", "globalTrimAfter")
"""Keys whose texts are compared with answers: with two characters instead of a line break they would never match."""

PROSE: Final = ("systemPrompt", "userPrompt")
_TWICE: Final = re.compile(r"\\([nrt])")
_MEANT: Final = {"n": "\n", "r": "\r", "t": "\t"}


def once(text: str) -> str:
    r"""`text` with `\n`, `\r` and `\t`, written as two characters, as the one that was meant."""
    return _TWICE.sub(lambda found: _MEANT[found[1]], text)


def decoded(raw: Mapping[str, Any], path: str, findings: Findings) -> dict[str, Any]:
    """An entity's object, or the settings of all, with the marks decoded; each change, and each prompt that looks the same, becomes a warning."""
    result = dict(raw)
    for key in MARKS:
        texts = raw.get(key)
        if isinstance(texts, list):
            result[key] = [_mark(each, step(step(path, key), index), findings) for index, each in enumerate(texts)]
    for key in PROSE:
        if isinstance(raw.get(key), str) and _TWICE.search(raw[key]):
            findings.warn(
                step(path, key), r"has a backslash and a letter where a line break (\n) may be meant; kept as it is, the model will see it"
            )
    return result


def _mark(text: Any, path: str, findings: Findings) -> Any:
    if not isinstance(text, str) or not _TWICE.search(text):
        return text
    findings.warn(path, r"is escaped twice: the characters backslash and n are taken as a line break (write \n in the file, not \\n)")
    return once(text)
