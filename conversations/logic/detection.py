"""Whether a text asks something.

In this order:

1. a question mark of any script, outside of links; `;` behind a Greek letter is one
2. a clause that begins as questions and requests do (`interrogatives`): at the beginning of a sentence, after an address of at most three
   words (`Ping, what is time`), or after a conjunction (`nice, but why`)
3. a sentence that ends in a tag (`…, right`), or as questions end in Chinese, Japanese and Korean

It is simple logic over word lists: it does not understand. `I know what you mean` asks nothing because it does not begin with `what`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Final

from conversations.logic.interrogatives import AUXILIARIES, FILLERS, JOINS, NEVER, OPENINGS, PHRASES, SUBJECTS, TAGS
from conversations.logic.words import folded, plain

HEARD: Final = 2000
"""Characters in which clauses are looked for; marks are found anywhere."""

_MARK: Final = re.compile(r"[?？؟⸮՞⁇⁈⁉‽¿፧⳺꘏\u037e]|(?<=[\u0370-\u03ff\u1f00-\u1fff]);")
_QUERY: Final = re.compile(r"\w\?\w{1,40}=")
"""A question mark in an address without its beginning."""

_SENTENCE: Final = re.compile(r"(?<![.!…])[.!…]+(?=\s|$)|[\n。！]")
_CLAUSE: Final = re.compile(r"[,;:，、；：]|(?<=\s)[-–—](?=\s)")
_EDGES: Final = " \t\"'«»„“”‚‘’()[]{}*_~<>-–—/\\|#"
_ADDRESS: Final = 3
"""Words of an address."""

_EAST: Final = re.compile(
    r"(?:[吗嗎]|[^着著]呢|是不是|对不对|對不對)[~～\s]*$"
    r"|(?<!知道)(?<!明白)(?:为什么|為什麼|什么时候|什麼時候|怎么样|怎麼樣|怎么办|请问|請問|有没有人|有沒有人|能不能|可不可以|会不会|會不會)"
    r"|^(?:你|您|这|這|那|他|她)?(?:是|在|想|要|叫)?(?:谁|誰|什么|什麼|哪里|哪裡|哪儿|怎么|怎麼|多少|几点|幾點|如何)"
    r"|(?:です|ます|でした|ました|ません|でしょう|だろう|のでしょう)か(?:ね|な)?$|かしら$|(?:る|た|い)かな$|[^いつどこにれ]のか$"
    r"|^(?:なぜ|どうして|どうやって|何で|誰が|どこ[でにへ]|どう思)|教えて(?:ください|くれ|下さい|$)"
    r"|(?:니까|까요|나요|인가요|는가|을까|습니까)$|^(?:왜|어떻게|누가|언제|어디)\s"
)


def question(text: str) -> str:
    """The mark or the words that make `text` a question; empty if nothing does."""
    said = plain(text)
    if mark := _MARK.search(_QUERY.sub(" ", said) if "=" in said else said):
        return mark.group()
    return next((found for sentence in _SENTENCE.split(said[:HEARD]) if (found := _asked(sentence))), "")


def _asked(sentence: str) -> str:
    clauses = [clause for clause in _CLAUSE.split(sentence) if clause.strip(_EDGES)]
    if not clauses:
        return ""
    if not sentence.isascii() and (east := _EAST.search(sentence.strip(_EDGES))):
        return east.group()
    for words in _beginnings(clauses):
        if found := _opened(words):
            return found
    last = tuple(_words(clauses[-1]))
    return f", {' '.join(last)}" if len(clauses) > 1 and last in TAGS else ""


def _beginnings(clauses: Sequence[str]) -> Iterator[list[str]]:
    """The words of the clauses that may be a question."""
    before = 0
    for clause in clauses:
        words = _words(clause)
        if before <= _ADDRESS or (words and words[0] in JOINS):
            yield words
        before += len(words)


def _words(clause: str) -> list[str]:
    return [word for each in folded(clause).split() if (word := each.strip(_EDGES))]


def _opened(words: list[str]) -> str:
    """The words at the beginning that ask, after those that do not matter."""
    if _begins(words, NEVER):
        return ""
    begin = next((n for n, word in enumerate(words[:5]) if not (word in FILLERS or word.startswith("@"))), 0)
    for start in dict.fromkeys((0, begin)):
        there = words[start : start + 6]
        if found := _asking(there):
            return found
    return ""


def _begins(words: Sequence[str], phrases: Collection[tuple[str, ...]]) -> str:
    """The phrase that the words begin with."""
    return next((" ".join(words[:length]) for length in range(2, 6) if tuple(words[:length]) in phrases), "")


def _asking(words: Sequence[str]) -> str:
    if len(words) < 2:
        return words[0] if words and words[0] in ("why", "warum", "wieso", "pourquoi", "dlaczego", "почему", "зачем", "waarom") else ""
    if phrase := _begins(words, PHRASES):
        return phrase
    first, then = words[:2]
    for rule in OPENINGS.get(first, ()):
        if then in rule.then or (not rule.then and then not in rule.never):
            return f"{first} {then}"
    if first in ("what", "which", "how") and _inverted(words[1:]):
        return " ".join(words[:4])
    return first if _hyphened(first) else ""


_PRONOUN: Final = re.compile(r"[a-zà-ÿ']+-(?:t-)?(?:tu|vous|il|elle|on|nous|ils|elles|je|ce)$")


def _inverted(words: Sequence[str]) -> bool:
    """`… time is it`: an auxiliary before its subject, within a few words; not `… i do is`."""
    if words[0] in SUBJECTS or words[0] in ("a", "an"):
        return False
    return any(one in AUXILIARIES and following in SUBJECTS for one, following in pairwise(words))


def _hyphened(word: str) -> bool:
    """`peux-tu`."""
    return "-" in word and _PRONOUN.match(word) is not None and word != "rendez-vous"
