"""What an answer is beside plain talk: a call of a tool, JSON of a wanted shape, several choices, the odds of its tokens.

A model calls the first tool it is given when the last message is a user's and has the word `use-the-tool` in it; the call's arguments
are made after the tool's own schema. LM Studio gives one choice and no odds, whatever it is asked.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.lmstudio.emulator import voice

WORD = "use-the-tool"
_DEEPEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How an answer is given. `text` is what is said, or the arguments of the call of the tool `call`."""

    text: str
    call: str = ""
    choices: int = 1
    odds: bool = False


def act(body: Mapping[str, object], messages: Sequence[Mapping[str, object]], text: str, *, plain: bool) -> Act:
    """What a request makes of the text that would have been said. `plain`: it is LM Studio's."""
    last = messages[-1] if messages else {}
    tools, n = body.get("tools"), body.get("n")
    choices = 1 if plain or not isinstance(n, int) else max(1, n)
    if isinstance(tools, list) and tools and last.get("role") == "user" and WORD in voice.content(last):
        function = _within(tools[0], "function")
        arguments = json.dumps(_sample(_within(function, "parameters"), "penguin", 0))
        return Act(text=arguments, call=str(function.get("name", "")), choices=choices)
    form = _within(_within(body, "response_format"), "json_schema").get("schema", body.get("format"))
    if isinstance(form, dict):
        text = json.dumps(_sample(form, text, 0))
    return Act(text=text, choices=choices, odds=not plain and bool(body.get("logprobs")))


def odds(token: str) -> dict[str, object]:
    """The odds of one token, always the same."""
    return {"content": [{"token": token, "logprob": -0.25, "bytes": list(token.encode("utf-8", "replace")), "top_logprobs": []}]}


def _within(value: object, name: str) -> Mapping[str, object]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _sample(schema: object, text: str, depth: int) -> object:
    """A value of a schema."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return text
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return {name: _sample(inner, text, depth + 1) for name, inner in properties.items()}
    plain = {
        "object": {},
        "array": [_sample(schema.get("items"), text, depth + 1)],
        "integer": 7,
        "number": 7.5,
        "boolean": True,
        "null": None,
    }
    kind = schema.get("type")
    return plain.get(kind, text) if isinstance(kind, str) else text
