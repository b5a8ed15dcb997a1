"""Prompts, byte by byte, in the three formats of the original."""

from typing import Any

import pytest

from conversations.logic.prompt import build
from tests.logic.conversations.values import persona

SHOWN = ("Ann: hi all", "Ping: well hello", "Bob: 5:30 is late", "Ann: what is time?")


def built(prompt_format: str, shown: tuple[str, ...] = SHOWN, username: str = "Ping", **over: Any) -> list[tuple[str, str]]:
    values = {"system_prompt": "You are Ping.", "user_prompt": "Answer."} | over
    return [(m["role"], m["content"]) for m in build(persona(prompt_format=prompt_format, **values), shown, username)]


def test_blob() -> None:
    assert built("blob") == [
        (
            "system",
            "You are Ping.\n\nContext: Ann: hi all\nPing: well hello\nBob: 5:30 is late\nAnn: what is time?\nActive users: Ann, Ping, Bob",
        ),
        ("user", "Answer."),
    ]


@pytest.mark.parametrize(
    ("over", "role", "end"),
    [
        ({}, "system", "Ann: what is time?"),
        ({"system_role": "user"}, "user", "Ann: what is time?"),
        ({"system_role": "assistant", "add_newline_to_context": True}, "assistant", "Ann: what is time?\n"),
        ({"add_entity_username": True}, "system", "Ann: what is time?\nPing: "),
        ({"add_entity_username": True, "add_newline_to_context": True}, "system", "Ann: what is time?\nPing: "),
        ({"add_entity_username": True, "username": "Mask"}, "system", "Ann: what is time?\nMask: "),
    ],
)
def test_joined(over: dict[str, Any], role: str, end: str) -> None:
    username = over.pop("username", "Ping")
    start = "You are Ping.\n\nAnswer.\n\nContext: Ann: hi all\nPing: well hello\nBob: 5:30 is late\n"
    assert built("joined", username=username, **over) == [(role, start + end)]


def test_joined_leaves_out_what_is_empty() -> None:
    assert built("joined", ("Ann: hi",), system_prompt="", user_prompt="") == [("system", "Context: Ann: hi")]


@pytest.mark.parametrize(
    ("shown", "turns"),
    [
        (SHOWN, [("user", "Ann: hi all"), ("assistant", "well hello"), ("user", "Bob: 5:30 is late\nAnn: what is time?")]),
        (("Ping: me first", "Ann: hi"), [("user", "Ann: hi")]),
        (("Ann: a", "Ping: b", "Ping: c: d", "Ann: e"), [("user", "Ann: a"), ("assistant", "b\nc: d"), ("user", "Ann: e")]),
        (("no label", "Ann: e"), [("user", "no label\nAnn: e")]),
    ],
)
def test_turns(shown: tuple[str, ...], turns: list[tuple[str, str]]) -> None:
    assert built("turns", shown) == [("system", "You are Ping.\n\nAnswer."), *turns]


def test_turns_follow_the_identity_it_answers_under() -> None:
    assert built("turns", ("Ann: a", "Mask: b", "Ping: c", "Ann: d"), username="Mask", user_prompt="") == [
        ("system", "You are Ping."),
        ("user", "Ann: a"),
        ("assistant", "b"),
        ("user", "Ping: c\nAnn: d"),
    ]


def test_turns_without_prompts_have_no_system_message() -> None:
    assert built("turns", ("Ann: a",), system_prompt="", user_prompt="") == [("user", "Ann: a")]
