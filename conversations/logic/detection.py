"""What a text asks for: a question, somebody's name."""

import re
from collections.abc import Iterable


def has_question(text: str) -> bool:
    """Whether somebody asks something: a question mark of any script, outside of links."""
    return bool(re.search(r"[?？؟⸮]", re.sub(r"https?://\S+", " ", text)))


def folded(text: str) -> str:
    """Letter case folded and white space made single, so that names are found however they are written."""
    return " ".join(text.casefold().split())


def mentions(text: str, names: Iterable[str]) -> str | None:
    """The first of `names` that `text` contains as a whole word (or words), never inside another word; None if none.

    A name may have spaces and punctuation. `@Name` counts, `Names` and `xName` do not.
    """
    there = folded(text)
    for name in names:
        wanted = folded(name)
        if wanted and wanted in there and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", there):
            return name
    return None
