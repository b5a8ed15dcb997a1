"""From what a model said to what is posted, or to the reason why nothing is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from entities.logic.persona import Persona

_THINK = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_THINK_END = re.compile(r"\A.*</(think|thinking|reasoning)>", re.IGNORECASE | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)]*(?=\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The text to post, or, when it is empty, why not; `steps` names what was done to it."""

    text: str
    why: str = ""
    steps: tuple[str, ...] = ()


def units(text: str) -> int:
    """Length as the feed counts: UTF-16 units."""
    return len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def clean(raw: str, persona: Persona, *, username: str, others: Sequence[str], limit: int, recent: Sequence[str] = ()) -> Cleaned:
    """Make a model's answer fit to post: at most `limit` UTF-16 units, one speaker, no thoughts, nothing said twice.

    `others` are the names of the other speakers it saw, `recent` the persona's own last posts.
    """
    steps: list[str] = []

    def done(name: str, before: str, after: str) -> str:
        if after != before:
            steps.append(name)
        return after

    text = done("thoughts removed", raw, _THINK_END.sub("", _THINK.sub("", raw)))
    text = done("control characters removed", text, _CONTROL.sub("", text))
    text = text.strip()
    text = done("own label removed", text, _unlabelled(text, (username, persona.username, *persona.aliases, *others)))
    text = done("other speakers cut off", text, _one_speaker(text, others))
    for phrase in persona.filter_out:
        text = done("filtered", text, text.replace(phrase, ""))
    ends = [at for at in (text.find(mark) for mark in (*persona.trim_after, *persona.stop) if mark) if at >= 0]
    if ends:
        text = done("trimmed", text, text[: min(ends)])
    if persona.trim_whitespace:
        text = re.sub(r"[ \t]+", " ", text).strip()
    if not text.strip():
        return Cleaned(
            text="", why="the model said nothing" if not raw.strip() else "nothing was left of it after cleaning", steps=tuple(steps)
        )
    if "[SKIP]" in text.upper():
        return Cleaned(text="", why="the persona chose to say nothing ([SKIP])", steps=tuple(steps))
    text = done("shortened", text, shortened(text, limit))
    if " ".join(text.casefold().split()) in {" ".join(old.casefold().split()) for old in recent}:
        return Cleaned(text="", why="it said exactly that before", steps=tuple(steps))
    return Cleaned(text=text, steps=tuple(steps))


def _unlabelled(text: str, names: Sequence[str]) -> str:
    """Without a leading "Name:", of the speaker himself or of whom he answers, or a generic one, however often it is repeated."""
    labels = [re.escape(name) for name in (*names, "Human", "User", "Assistant", "Assitant", "AI", "Bot", "Response") if name]
    return re.sub(rf"\A(?:\s*[*_\[]*(?:{'|'.join(labels)})[*_\]]*\s*:\s*)+", "", text, flags=re.IGNORECASE)


def _one_speaker(text: str, others: Sequence[str]) -> str:
    """Up to the line where it begins to speak for somebody else."""
    labels = [re.escape(name) for name in (*others, "Human", "User", "System") if name]
    found = re.search(rf"\n\s*[*_\[]*(?:{'|'.join(labels)})[*_\]]*\s*:", text, flags=re.IGNORECASE)
    return text[: found.start()].rstrip() if found else text


def shortened(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units, ending at a sentence if one ends in the second half, otherwise at a word with an ellipsis."""
    if units(text) <= limit:
        return text
    kept = text
    while units(kept) > limit:
        kept = kept[: max(0, len(kept) - max(1, (units(kept) - limit) // 2))]
    ends = [found.end() for found in _SENTENCE.finditer(kept)]
    if ends and ends[-1] >= len(kept) // 2:
        return kept[: ends[-1]]
    while kept and units(kept) > limit - 1:
        kept = kept[:-1]
    between = kept[-1:].isspace() or text[len(kept) : len(kept) + 1].isspace()
    at_word = kept if between or " " not in kept else kept.rsplit(None, 1)[0]
    return (at_word if len(at_word) >= len(kept) // 2 else kept).rstrip(" ,;:-") + "…"
