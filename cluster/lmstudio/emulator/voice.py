"""What the emulated models say: lively sentences that take up a word of what they were told."""

import re
from collections.abc import Mapping, Sequence
from random import Random

from cluster.lmstudio.emulator.habits import Answer

_OPENINGS = (
    "Ha, {word}!",
    "Now that you say {word}:",
    "You had me at {word}.",
    "Funny, I was just thinking about {word}.",
    "Hm, {word} again?",
    "Between us, {word} is underrated.",
    "I would not have expected {word} here.",
    "Wait, {word}?",
    "Alright, {word} it is.",
    "My neighbour swears by {word}.",
)
_MIDDLES = (
    "Most people look at it from the wrong end and then wonder why it squeaks.",
    "I tried that once on a Tuesday and it took me until Thursday to stop smiling.",
    "There is a short answer and a true one, and today I only have time for the short one.",
    "Give it ten minutes and a cup of something hot before you decide.",
    "The old trick still works: start small and pretend it was planned.",
    "Somebody here knows more about it than they admit.",
    "It sounds complicated, but it is mostly patience and one good joke.",
    "If it rains tonight we can settle this properly.",
    "I like it better the second time, when nobody is watching.",
    "Half of it is luck, the other half is turning up.",
)
_CLOSINGS = (
    "What do you think?",
    "Anyone else?",
    "Tell me how it ends.",
    "I stand by that.",
    "Ask me again tomorrow.",
    "Just saying.",
    "",
    "",
)
_PLAIN = frozenset(
    [
        "about",
        "after",
        "again",
        "because",
        "before",
        "being",
        "could",
        "doing",
        "every",
        "going",
        "might",
        "never",
        "other",
        "really",
        "should",
        "still",
    ]
)
_PLAIN_TOO = frozenset(
    ["their", "there", "these", "thing", "think", "those", "today", "would", "where", "which", "while", "maybe", "something", "please"]
)


def prompt_text(messages: Sequence[Mapping[str, object]]) -> str:
    """The last thing a user said, without a speaker's name in front."""
    said = next((content(message) for message in reversed(messages) if message.get("role") == "user"), "")
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    return re.sub(r"^\s*[\w .-]{1,24}:\s+", "", last)


def content(message: Mapping[str, object]) -> str:
    """A message's text, from a string or from parts."""
    value = message.get("content")
    if isinstance(value, list):
        return " ".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def tokens_in(text: str) -> int:
    """Tokens, roughly: four letters each."""
    return len(text) // 4 + 1


def answer(messages: Sequence[Mapping[str, object]], seed: int, habit: Answer = "") -> tuple[str, str]:
    """Reasoning and text; the same for the same prompt and seed."""
    said = prompt_text(messages)
    dice = Random(f"{seed}|{'|'.join(map(content, messages))}".encode("utf-8", "surrogatepass"))
    text = _sentence(said, dice)
    match habit:
        case "reasoning":
            return f"The user speaks of {_word(said, dice)}. I could answer, or I could think a little longer.", ""
        case "empty":
            return "", ""
        case "skip":
            return "", "[SKIP]"
        case "long":
            return "", " ".join(_sentence(said, dice) for _ in range(60))
        case "think":
            return "", f"<think>They ask about {_word(said, dice)}. Keep it short.</think>\n\n{text}"
        case "thought":
            return "", f"<think>They ask about {_word(said, dice)}. I could answer, or I could think a little longer"
        case "leak":
            return "", f"Assistant: {text}\nUser: and then?\nAssistant: {_sentence(said, dice)}"
    return "", text


def pieces(text: str) -> list[str]:
    """The text in tokens; joined they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def _sentence(said: str, dice: Random) -> str:
    parts = (dice.choice(_OPENINGS).format(word=_word(said, dice)), dice.choice(_MIDDLES), dice.choice(_CLOSINGS))
    return " ".join(part for part in parts if part)


def _word(said: str, dice: Random) -> str:
    words = [word for word in re.findall(r"[^\W\d_]{4,}", said) if word.lower() not in _PLAIN | _PLAIN_TOO]
    longest = max(map(len, words), default=0)
    best = sorted({word for word in words if len(word) >= longest - 1})
    return dice.choice(best).lower() if best else dice.choice(("that", "this place", "the weather"))
