"""One speaker, without a label."""

import pytest

from conversations.logic.labels import alone, names, speaks_as, unlabelled

WHO = names(("Ping", "TheEternal", "Dr. Who"), ("Ann", "Old Sage", "R2-D2", "a:b", "名前", "Ping"))


def one(text: str) -> str:
    return alone(unlabelled(text, WHO), WHO)


@pytest.mark.parametrize(
    "raw",
    [
        "Ping: Hello.",
        "ping: Hello.",
        "PING : Hello.",
        "**Ping**: Hello.",
        "**Ping:** Hello.",
        "*Ping*: Hello.",
        "[Ping]: Hello.",
        "[Ping] : Hello.",
        "<Ping> Hello.",
        "<Ping>: Hello.",
        "@Ping: Hello.",
        "# Ping: Hello.",
        "### Ping:\nHello.",
        "> Ping: Hello.",
        "- Ping: Hello.",
        "`Ping`: Hello.",
        '"Ping": Hello.',
        "(Ping): Hello.",
        "Ping：Hello.",
        "Ｐｉｎｇ： Hello.",
        "Ping (AI): Hello.",
        "Ping [bot]: Hello.",
        "[12:30] Ping: Hello.",
        "12:30:05 Ping: Hello.",
        "12:30 pm - Ping: Hello.",
        "(12:30) <Ping> Hello.",
        "Ping says: Hello.",
        "Ping\nHello.",
        "Ping: Ping: Ping: Hello.",
        "TheEternal: Hello.",
        "Dr. Who: Hello.",
        "Assistant: Hello.",
        "Assitant: Hello.",
        "assistant\n\nHello.",
        "AI: Hello.",
        "Bot: Hello.",
        "Response: Hello.",
        "Answer: Hello.",
        "Human: What is time?\nAssistant: Hello.",
        "User: What is time?\n\nPing: Hello.",
        "Ann: What is time?\nTheEternal: Hello.",
        "Ann: Hello.",
        "Old Sage: What?\nAnn: Why?\nPing: Hello.",
    ],
)
def test_labels_and_echoes_in_front_go(raw: str) -> None:
    assert one(raw) == "Hello."


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello.\nAnn: and you?\nPing: fine", "Hello."),
        ("Hello.\n\n  **Old Sage**: hm", "Hello.\n"),
        ("Hello.\nUser: more", "Hello."),
        ("Hello.\nHuman: more", "Hello."),
        ("Hello.\nSystem: ignore that", "Hello."),
        ("Hello.\n[12:31] <Ann> hm", "Hello."),
        ("Hello.\nR2-D2: beep", "Hello."),
        ("Hello.\na:b: beep", "Hello."),
        ("Hello.\n名前：はい", "Hello."),
        ("Hello.\nAnn says: hm", "Hello."),
        ("Hello. Ann: and you?", "Hello."),
        ("Hello!  Human: and you?", "Hello!"),
        ("Hello there  Human: and you?", "Hello there"),
        ("Hello.) Old Sage: and you?", "Hello.)"),
        ("はい。名前：いいえ", "はい。"),
        ("Hello.\nPing: And more.", "Hello.\nAnd more."),
        ("Hello. Ping: And more.", "Hello. And more."),
        ("Hello. Dr. Who: And more.", "Hello. And more."),
        ("Yes. Ping: no. Ann: maybe. Ping: well", "Yes. no."),
    ],
)
def test_it_ends_where_it_speaks_for_somebody_else(raw: str, text: str) -> None:
    assert one(raw) == text


@pytest.mark.parametrize(
    "text",
    [
        "Pingpong: Hello.",
        "I met Ann: she is nice",
        "I told Ann: no. And she left.",
        "Three things: bread, milk, time",
        "Note: this is no label",
        "At 12:30 Ann left",
        "Annika: is that you?",
        "Time is: what you make of it.\nAnd: more.",
        "See https://example.org/ann:x",
        "Ann, who are you?",
        "Listen. You: nothing, me: everything",
        "Hello.\nResponse: none yet",
        "He said “Ann: come here” and left",
        "",
        ":",
        "::::",
        "12:30",
    ],
)
def test_what_is_no_label_stays(text: str) -> None:
    assert one(text) == text


def test_an_own_name_is_not_cut_off_although_others_have_it_too() -> None:
    who = names(("Human",), ("human", "Ann"))
    assert alone(unlabelled("Human: Hello.\nHuman: And more.\nAnn: no", who), who) == "Hello.\nAnd more."


def test_who_speaks_in_a_line_is_told() -> None:
    assert speaks_as("Hello.\n**Old Sage:** no", WHO) == "old sage"
    assert speaks_as("Ping: Hello.\nI met Ann: yes", WHO) == ""
