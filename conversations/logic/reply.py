"""From what a model wrote to what is posted, or to the reason why nothing is.

The steps, in their order, each named in `steps` when it changed something:

 1. what nobody can see goes; breaks of lines that the prompt folded are breaks      logic/visible.py, logic/fence.py
 2. thoughts go                                                                     logic/thoughts.py
 3. marks of the model's template go, and what stands behind them                   logic/specials.py
 4. labels go, and it ends where it begins to speak for somebody else               logic/labels.py
 5. `[SKIP]` anywhere in what is left: the persona chose to say nothing
 6. phrases that persona and policy filter out go                                   logic/phrases.py
 7. it ends before their earliest marker, or a stop text that the server let through
 8. an unfinished sentence goes, where the model ran out of tokens                  logic/shortening.py
 9. web addresses and markup: left, taken out, or a reason not to post              logic/marks.py
10. line breaks and spaces, quotation marks around the whole                        logic/phrases.py
11. it is shortened to the feed's length                                            logic/shortening.py
12. a repeat of one of its own last posts is not posted                             logic/similar.py

Taking one thing out may make another of what stood around it. So steps 1 to 11 are repeated until they change nothing, and what
does not come to rest is not posted: a clean text cleaned again is the same. KV backends also fold white space into single spaces;
that makes a text shorter, never longer, and repeats are compared without regard to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from conversations.logic import phrases
from conversations.logic.fence import unfolded
from conversations.logic.labels import Names, alone, names, unlabelled
from conversations.logic.marks import linked, marked, unlinked, unmarked
from conversations.logic.shortening import complete, shortened
from conversations.logic.similar import closest
from conversations.logic.specials import answered
from conversations.logic.thoughts import spoken
from conversations.logic.visible import visible
from entities.logic.persona import Persona

LONGEST: Final = 8000
"""Characters of an answer that are looked at once its thoughts are gone; feeds take 1000 at most."""

ROUNDS: Final = 12
"""What changes that often will not come to rest."""

_SKIP: Final = re.compile(r"\[\s{0,3}SKIP\s{0,3}\]|\A[\s*_\"'(<.]{0,4}SKIP[\s*_\"')>.!]{0,4}\Z", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Draft:
    """An answer on its way from the model to the feed. Plugins may change `text`, or say in `why` that it must not be posted."""

    persona: Persona
    raw: str
    """What the model wrote."""
    username: str
    """The name that it is posted under."""
    others: Sequence[str] = ()
    """The names of the other speakers that it saw or knows."""
    limit: int
    """UTF-16 units that the feed takes."""
    recent: Sequence[str] = ()
    """Own last posts that it must not repeat."""
    filter_out: Sequence[str] = ()
    """What the policy wants besides the persona; so are the markers."""
    trim_after: Sequence[str] = ()
    stop: Sequence[str] = ()
    unfinished: bool = False
    """The model ran out of tokens."""
    text: str = ""
    """What is to be posted; empty if nothing is, and then `why` says the reason."""
    why: str = ""
    again: bool = False
    """Nothing is posted, and another try may do better."""
    steps: list[str] = field(default_factory=list)
    """What was done to it."""

    def end(self, why: str, *, again: bool = False) -> None:
        """Nothing is to be posted, for this reason."""
        self.text, self.why, self.again = "", why, again

    def change(self, name: str, text: str) -> None:
        """Give it another text, and name what was done."""
        if text != self.text:
            self.text = text
            if name not in self.steps:
                self.steps.append(name)


def clean(draft: Draft) -> None:
    """Make `raw` fit to post: at most `limit` units, one speaker, no thoughts, nothing said twice; or say in `why` what is wrong."""
    draft.text = draft.raw
    fit(draft)
    if not draft.why:
        _repeated(draft)


def fit(draft: Draft) -> None:
    """Steps 1 to 11, until they change nothing: what holds for every text that is posted, whoever wrote it."""
    who = names((draft.username, draft.persona.username, *draft.persona.aliases), draft.others)
    for _ in range(ROUNDS):
        before = draft.text
        _round(draft, who)
        if draft.why:
            return
        if not draft.text.strip():
            said = bool(draft.raw.strip())
            draft.end("nothing was left of it after cleaning" if said else "the model said nothing", again=True)
            return
        if draft.text == before:
            return
    draft.end("it could not be made fit to post: whatever is taken out of it makes something else that must go")


def _round(draft: Draft, who: Names) -> None:
    persona = draft.persona
    draft.change("control characters removed", visible(draft.text))
    draft.change("line breaks unfolded", unfolded(draft.text))
    draft.change("thoughts removed", spoken(draft.text))
    draft.text = draft.text.strip()
    draft.change(f"cut to {LONGEST} characters", draft.text[:LONGEST])
    draft.change("template marks removed", answered(draft.text))
    draft.text = draft.text.strip()
    draft.change("own label removed", unlabelled(draft.text, who))
    draft.change("other speakers cut off", alone(draft.text, who).strip())
    if _SKIP.search(draft.text):
        draft.end("the persona chose to say nothing ([SKIP])")
        return
    draft.change("filtered", phrases.without(draft.text, (*draft.filter_out, *persona.filter_out)))
    draft.change("trimmed", phrases.until(draft.text.strip(), (*draft.trim_after, *persona.trim_after, *draft.stop, *persona.stop)))
    if draft.unfinished:
        draft.change("unfinished sentence removed", complete(draft.text))
    _marks(draft)
    if draft.why:
        return
    draft.text = draft.text.strip()
    if persona.newlines != "keep":
        draft.change("line breaks removed", (phrases.folded if persona.newlines == "fold" else phrases.first)(draft.text))
    draft.text = (phrases.spaced(draft.text) if persona.trim_whitespace else draft.text).strip()
    draft.change("quotation marks removed", phrases.unquoted(draft.text))
    if draft.text:
        draft.change("shortened", shortened(draft.text, draft.limit))


def _marks(draft: Draft) -> None:
    persona = draft.persona
    if persona.links == "drop" and linked(draft.text):
        draft.end("it has a web address in it, and the persona's answers must not")
        return
    if persona.links == "strip":
        draft.change("links removed", unlinked(draft.text))
    if persona.markup == "drop" and marked(draft.text):
        draft.end("it has markup in it, and the persona's answers must not")
        return
    if persona.markup == "strip":
        draft.change("markup removed", unmarked(draft.text))


def _repeated(draft: Draft) -> None:
    score, old = closest(draft.text, draft.recent)
    if score >= 1.0:
        draft.end("it said exactly that before", again=True)
    elif score >= draft.persona.max_similarity:
        draft.end(f"it said almost that before ({score:.2f} alike; {draft.persona.max_similarity:g} is too much): {old[:80]}", again=True)
