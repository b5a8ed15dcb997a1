"""Public text in a prompt is data: it stays on its line, and says nothing in a voice that is not its author's.

What a stranger writes is changed only where it could do more than be read; all else stays byte for byte as it came:

1. halves of characters become U+FFFD; control characters go, but not the tab
2. line breaks of every kind, with the blanks around them, become " ⏎ ": a line of a prompt has one speaker
3. invisible characters go, in which text can hide or words be split, and those that turn the direction of writing; joiners and
   variation selectors stay where scripts and emoji need them: one at a time, and none behind Latin letters
4. what a model's template takes for the beginning of another role ("<|im_start|>", "[INST]", "### System:" …) gets a blank
   behind its first character: people still read it, the tokenizer does not
5. a name has no colon, is short, is not that of a role or of a part of the prompt, and not that of one of ours

Each function gives the same again for what it gave.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

NOBODY: Final = "anon"
"""Who speaks without a name."""

LONGEST_NAME: Final = 40
"""The backends keep at most 16; what is longer before a colon is no name."""

RESERVED: Final = frozenset(
    ("system", "systemprompt", "assistant", "developer", "tool", "function", "model", "ipython", "context", "activeusers")
) | frozenset(("instruction", "instructions", "prompt", "response"))
"""Names, folded, that mean a role or a part of the prompt."""

_BREAKS = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_FOLDED = re.compile("(?:(?<=\\s)|^)[ \t]*⏎(?=\\s|$)[ \t]*")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_HALVES = re.compile("[\ud800-\udfff]")
_FLAGS = (
    "\U0001f3f4\U000e0067\U000e0062" + tags + "\U000e007f"
    for tags in ("\U000e0065\U000e006e\U000e0067", "\U000e0073\U000e0063\U000e0074", "\U000e0077\U000e006c\U000e0073")
)
"""England, Scotland and Wales: the only emoji that are spelled with tag characters."""

_HIDDEN = re.compile(
    f"({'|'.join(_FLAGS)})"
    "|[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
_SELECTOR = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_JOINER = "\u200c\u200d"
_RUN = re.compile(f"[{_SELECTOR}{_JOINER}]{{2,}}")
_STRAY = re.compile(f'(?:(?<=[\t -"$-)+-/:-~])|^)[{_SELECTOR}]')
"""A selector behind nothing, or behind what is not the digit or sign of a key."""
_LATIN = re.compile(f"(?<![\u0590-\U0010ffff])[{_JOINER}]")

_WORDS = (
    "s|bos|eos|pad|unk|mask|sep|cls|sop|eop|eod|eot|endoftext|im_start|im_end|im_sep|system|assistant|user|human|bot|inst|sys|think"
    "|thinking|reasoning|tool_call|tool_calls|tool_response|tools|seed:bos|seed:eos|fim_prefix|fim_middle|fim_suffix"
    r"|unused_?\d{1,4}|reserved_\d{1,4}|extra_id_\d{1,4}|0x[0-9a-f]{2}|(?:start|begin|end|eos|bos)_of_[a-z_]{1,30}|(?:start|end)_header_id"
)
_SQUARE = (
    "inst|sys|system_prompt|available_tools|tool_calls|tool_results|tool_content|think|img|img_break|img_end|prefix|middle|suffix"
    "|bos|eos|cls|sep|pad|unk|g?mask|smask"
)
_HEADS = "system|instructions?|assistant|user|human|response|input|prompt|context|developer"
_TOKEN = re.compile(
    r"<[|\uff5c](?=[^<>|\uff5c]{0,64}\w)[^<>|\uff5c]{0,64}[|\uff5c]>"
    rf"|</?(?:{_WORDS})/?>"
    r"|<</?sys>>"
    rf"|\[/?(?:{_SQUARE})\]"
    r"|\[\|[^\[\]|]{0,40}\|\]"
    r"|\u25c1/?think\u25b7"
    rf"|##(?=[ \t]{{0,8}}(?:{_HEADS})\b)",
    re.IGNORECASE,
)


def sound(text: str) -> str:
    """Text that can be stored and sent: no NUL, no half of a character. For texts that are not a stranger's."""
    return _HALVES.sub("\ufffd", text).replace("\x00", "")


def said(text: str) -> str:
    """What a stranger said, for one line of a prompt."""
    return _TOKEN.sub(_blank, _plain(text))


def named(name: str, ours: Collection[str] = ()) -> str:
    """A stranger's name for a prompt; `ours` are the folded names of others, who are not to be mistaken for him."""
    text = said(name).replace(":", "·").replace("\uff1a", "·").strip()
    if len(text) > LONGEST_NAME:
        text = said(text[: LONGEST_NAME - 1]).rstrip() + "…"  # said again: a cut may part signs that were one
    text = text or NOBODY
    folded = fold(text)
    if folded in ours:
        return f"{text} (another)"
    return f"{text} (user)" if folded in RESERVED else text


def unfolded(text: str) -> str:
    """`text` with line breaks again where a model repeats the mark that stands for them in its prompt."""
    return _FOLDED.sub("\n", text)


def listed(name: str) -> str:
    """A name among others with commas between them."""
    return name.replace(",", "·")


def fold(name: str) -> str:
    """What of a name the eye takes in: equal for names that look alike."""
    if name.isascii() and name.isalnum():
        return name.lower()
    shown = "".join(char for char in unicodedata.normalize("NFKC", _plain(name)).casefold() if char.isalnum())
    return shown or name.strip().casefold()


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("", _HALVES.sub("\ufffd", text))
    if not text.isascii():
        text = _HIDDEN.sub(lambda found: found[1] or "", text)
        text = _LATIN.sub("", _STRAY.sub("", _RUN.sub(_one, text)))
    if _BREAKS.search(text):
        text = " ⏎ ".join(part.strip() for part in _BREAKS.split(text) if part.strip())
    return text


def _one(found: re.Match[str]) -> str:
    """Of several selectors and joiners in a row: the selector that is first, and one joiner."""
    run = found[0]
    return (run[0] if run[0] not in _JOINER else "") + next((char for char in run if char in _JOINER), "")


def _blank(found: re.Match[str]) -> str:
    at = 2 if found[0].startswith("<<") else 1
    return f"{found[0][:at]} {found[0][at:]}"
