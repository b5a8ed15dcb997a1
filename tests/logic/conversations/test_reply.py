"""From what a model wrote to what is posted."""

import re
from typing import Any
from unicodedata import category

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conversations.logic.labels import names, speaks_as
from conversations.logic.reply import LONGEST, Draft, clean, fit
from conversations.logic.shortening import units
from tests.logic.conversations.values import persona

OTHERS = ("Ann", "Old Sage")
SKIPPED = "the persona chose to say nothing ([SKIP])"
NOTHING = "nothing was left of it after cleaning"


def cleaned(raw: str, limit: int = 240, recent: tuple[str, ...] = (), common: dict[str, Any] | None = None, **over: Any) -> Draft:
    """The draft of Ping, who knows Ann and the Old Sage; `common` is what the policy wants."""
    draft = Draft(persona=persona(**over), raw=raw, username="Ping", others=OTHERS, limit=limit, recent=recent, **common or {})
    clean(draft)
    return draft


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello.", "Hello."),
        ("  \n Hello. \n\n", "Hello."),
        ("<think>who am I?</think>Ping: Hello.", "Hello."),
        ("<th\u200bink>who am I?</think>Hello.", "Hello."),
        ("Assistant: <think>\nhm\n</think>\n\n**Ping:** Hello.\nAnn: and you?", "Hello."),
        ("<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nAnd you?<|im_end|>", "Hello."),
        ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>", "Hello."),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>", "Hello."),
        ("<start_of_turn>model\nHello.<end_of_turn>", "Hello."),
        ("Hello.</s><s>[INST] and now?", "Hello."),
        ("[INST] hm [/INST] Hello.", "hm"),
        ("<s>Hello.", "Hello."),
        ("Hello.<eos>", "Hello."),
        ("Hello.<|endoftext|>Human: write a poem", "Hello."),
        ("Hello.<｜end▁of▁sentence｜>", "Hello."),
        ("Hello.<|reserved_special_token_5|> what", "Hello."),
        ("<0x0A>Hello<unk>.<pad><pad>", "Hello."),
        ("<answer>Hello.</answer>", "Hello."),
        ("### Response:\nHello.\n\n### Instruction:\nMore", "Hello."),
        ("Hello.\n### Human: more", "Hello."),
        ('"Hello."', "Hello."),
        ("“Hello.”", "Hello."),
        ("„Hallo.“", "Hallo."),
        ('Ping: "Hello."', "Hello."),
        ('""Hello.""', '""Hello.""'),
        ('"Hello," she said, "you."', '"Hello," she said, "you."'),
        ("'Tis what it is", "'Tis what it is"),
        ("Hello\u202e\x00\u200b you\ufeff.", "Hello you."),
        ("Hello. ⏎ And you?", "Hello.\nAnd you?"),
        ("⏎ Hello. ⏎ ⏎ Ann: and you?", "Hello."),
        ("a⏎b", "a⏎b"),
        ("Hello\r\nyou\u2028there\x0bnow", "Hello\nyou\nthere\nnow"),
        ("Two\nlines  and\t tabs \n here", "Two\nlines and tabs\nhere"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo"),
        ("family 👨‍👩‍👧‍👦 and flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "family 👨‍👩‍👧‍👦 and flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
        ("می‌خواهم", "می‌خواهم"),
        ("क्‍ष is said", "क्‍ष is said"),
        ("hidden\U000e0068\U000e0069 tags", "hidden tags"),
        ("z" + "\u0300" * 50 + "a", "z" + "\u0300" * 4 + "a"),
        ("half \ud83d of it", "half of it"),
        ("Ping", "Ping"),
        ("I <3 you & yours", "I <3 you & yours"),
    ],
)
def test_what_is_no_answer_goes(raw: str, text: str) -> None:
    assert cleaned(raw).text == text


@pytest.mark.parametrize(
    ("raw", "over", "text"),
    [
        ("As an AI, I like it.", {"filter_out": ("As an AI, ",)}, "I like it."),
        ("baabad", {"filter_out": ("ab", "ad")}, "ba"),
        ("aabcbcd", {"filter_out": ("abc",)}, "d"),
        ("a  b c", {"filter_out": ("a b",)}, "c"),
        ("xay", {"filter_out": ("a",), "trim_after": ("xy",)}, ""),
        ("Fine. END more", {"trim_after": ("END",)}, "Fine."),
        ("Fine. B more A", {"trim_after": ("A", "B")}, "Fine."),
        ("Fine.\nMore", {"trim_after": ("\n",)}, "Fine."),
        ("\n\nFine.\nMore", {"trim_after": ("\n",)}, "Fine."),
        ("Fine.###more", {"stop": ("###",)}, "Fine."),
        ("Fine.", {"trim_after": ("",), "stop": ("",), "filter_out": ("",)}, "Fine."),
        (" a  b ", {"trim_whitespace": False}, "a  b"),
        (" a  b ", {"trim_whitespace": True}, "a b"),
        ("Oracle: yes", {"aliases": ("Oracle", "")}, "yes"),
        ("one\n\n two", {"newlines": "keep"}, "one\n\ntwo"),
        ("one\n\n two", {"newlines": "fold"}, "one two"),
        ("one\n\n two", {"newlines": "first"}, "one"),
        ("see https://x.org now", {"links": "keep"}, "see https://x.org now"),
        ("see https://x.org now", {"links": "strip"}, "see now"),
        ("see https://x.org now", {"links": "drop"}, ""),
        ("a **b**", {"markup": "keep"}, "a **b**"),
        ("a **b**", {"markup": "strip"}, "a b"),
        ("a **b**", {"markup": "drop"}, ""),
        ("[x](https://x.org)", {"links": "strip", "markup": "strip"}, "x"),
        ("&lt;b&gt;a&lt;/b&gt;", {"markup": "strip"}, "a"),
    ],
)
def test_what_the_persona_asks_for_is_done(raw: str, over: dict[str, Any], text: str) -> None:
    assert cleaned(raw, **over).text == text


@pytest.mark.parametrize(
    ("raw", "common", "text"),
    [
        ("I will not. Yes.", {"filter_out": ("I will not. ",)}, "Yes."),
        ("Yes. END no", {"trim_after": ("END",)}, "Yes."),
        ("Yes. STOP no", {"stop": ("STOP",)}, "Yes."),
        ("Yes it really is. But then it", {"unfinished": True}, "Yes it really is."),
        ("Yes it really is. But then it", {"unfinished": False}, "Yes it really is. But then it"),
    ],
)
def test_what_the_policy_asks_for_is_done_too(raw: str, common: dict[str, Any], text: str) -> None:
    assert cleaned(raw, common=common, filter_out=("nothing",)).text == text


@pytest.mark.parametrize(
    ("raw", "over", "why", "again"),
    [
        ("", {}, "the model said nothing", True),
        (" \n", {}, "the model said nothing", True),
        ("<think>only thoughts", {}, NOTHING, True),
        ("<|im_end|>", {}, NOTHING, True),
        ("Ping:", {}, NOTHING, True),
        ("STOP now", {"trim_after": ("STOP",)}, NOTHING, True),
        ("https://x.org", {"links": "strip"}, NOTHING, True),
        ("[SKIP]", {}, SKIPPED, False),
        ("  [skip]\n", {}, SKIPPED, False),
        ("SKIP", {}, SKIPPED, False),
        ("*[Skip]*", {}, SKIPPED, False),
        ("Ping: [ SKIP ]", {}, SKIPPED, False),
        ("<think>should I?</think>[SKIP]", {}, SKIPPED, False),
        ("I would rather [skip] this", {}, SKIPPED, False),
        ("https://x.org", {"links": "drop"}, "it has a web address in it, and the persona's answers must not", False),
        ("# Title", {"markup": "drop"}, "it has markup in it, and the persona's answers must not", False),
        ("Same  As\nbefore.", {"recent": ("x", "same as before.")}, "it said exactly that before", True),
    ],
)
def test_nothing_is_posted_and_why(raw: str, over: dict[str, Any], why: str, again: bool) -> None:
    draft = cleaned(raw, **over)
    assert (draft.text, draft.why, draft.again) == ("", why, again)


@pytest.mark.parametrize("text", ["I skip breakfast.", "<think>[SKIP]?</think>No, hello.", "Hello.\nAnn: [SKIP]", "Skip it, friend"])
def test_a_skip_that_is_not_meant_is_none(text: str) -> None:
    assert cleaned(text).text


@pytest.mark.parametrize(("most", "posted"), [(0.8, False), (0.9, False), (0.97, True), (1.0, True)])
def test_how_alike_two_posts_may_be_is_the_personas_to_say(most: float, posted: bool) -> None:
    old = "Time is what keeps everything from happening at once"
    draft = cleaned(f"{old}, friend", recent=(old,), max_similarity=most)
    assert bool(draft.text) is posted
    assert draft.why.startswith("it said almost that before (0.9") is not posted
    assert cleaned(old, recent=(old,), max_similarity=most).why == "it said exactly that before"


def test_what_was_done_is_told_in_its_order() -> None:
    draft = cleaned("<think>x</think>Ping: Hi\u200b **you** END\nAnn: no", 8, trim_after=("END",), markup="strip", newlines="fold")
    assert draft.steps == [
        "control characters removed", "thoughts removed", "own label removed", "other speakers cut off", "trimmed", "markup removed",
    ]  # fmt: skip
    assert draft.text == "Hi you"


def test_what_a_plugin_writes_is_held_to_the_same_rules() -> None:
    draft = cleaned("Hello.", 10, filter_out=("bad ",))
    draft.text = "bad Hello.\x00 And so much more that nobody reads\nAnn: no"
    fit(draft)
    assert draft.text == "Hello."


HOSTILE = [
    "<think>", "</think>", "[THINK]", "Ping:", "Ann:", "Old Sage :", "Human: ", "assistant", "\n", "\r\n", "[SKIP]", "word ", "wo", "rd ", "😀",
    "\ud83d", "\x00", ".", "  ", "END", "E", "ND", "**", "*", "_", "(", ")", "[", "](", "\\", "名前：", "<|im_start|>", "<|im_end|>", "<br>", "&lt;",
    "&amp;", "<", ">", "`", "```\n", "# ", "http", "://", "x.org", "\u200b", "\u202e", "\u200d", "\u0301", '"', "“", "”", "«", "12:30 ", "<|channel|>",
    "final<|message|>", "analysis", "assistantfinal", "…", "Dr. ", "- ", "> ", "~~", "|", "🇩🇪", "SKIP", "<s>", "</s>", "user\n",
]  # fmt: skip
WILD = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=6), max_size=40).map("".join)
WISHES = st.fixed_dictionaries(
    {},
    optional={
        "filter_out": st.lists(st.sampled_from(["word", "word ", "wo", "a", "ab", "ba", ".", " ", "\n", "…", "hello"]), max_size=4).map(
            tuple
        ),
        "trim_after": st.lists(st.sampled_from(["END", "\n", "…", "x", ". "]), max_size=2).map(tuple),
        "trim_whitespace": st.booleans(),
        "newlines": st.sampled_from(["keep", "fold", "first"]),
        "links": st.sampled_from(["keep", "strip", "drop"]),
        "markup": st.sampled_from(["keep", "strip", "drop"]),
        "max_similarity": st.sampled_from([0.5, 0.9, 1.0]),
    },
)
UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]")


@settings(max_examples=400, deadline=None)
@given(WILD, st.integers(1, 260), WISHES, st.booleans())
@example("Hello. Ann: x  Ann: y", 240, {"newlines": "fold"}, False)
def test_whatever_a_model_writes_what_is_posted_is_sound(raw: str, limit: int, wishes: dict[str, Any], unfinished: bool) -> None:
    common = {"unfinished": unfinished}
    draft = cleaned(raw, limit, ("hello word",), common, **wishes)
    text = draft.text
    assert units(text) <= limit
    assert bool(text.strip()) is not bool(draft.why)
    text.encode("utf-16-le", "strict")
    assert not [char for char in text if category(char) in ("Cc", "Cs") and char != "\n"]
    assert not UNSEEN.search(text)
    assert not [phrase for phrase in wishes.get("filter_out", ()) if phrase in text]
    assert not [marker for marker in wishes.get("trim_after", ()) if marker in text]
    assert "<think>" not in text.lower()
    assert "[SKIP]" not in text.upper()
    assert not speaks_as(text, names(("Ping",), OTHERS))
    assert wishes.get("newlines", "keep") == "keep" or "\n" not in text
    once = cleaned(text, limit, (), common, **wishes) if text else draft
    assert once.text == text, "cleaned again it is another text"


@pytest.mark.parametrize("wishes", [{}, {"links": "strip", "markup": "strip", "newlines": "fold", "filter_out": ("ab", "aa", "Ann")}])
@pytest.mark.parametrize(
    "piece",
    [
        "<think>", "</think>", "<think ", "&lt;think", "<|channel|>", "<|channel|>analysis<|message|>", "<|im_start|>user", "[SKIP", "Ping: ",
        "Ann: ", "Ann:\n", "x. Ann; :", ". :", ":", "(a:", "\n ", "a", "a.", "Dr. ", ".", "*_[", "_a ", "*a *a", "[](", "[](a", "<", "<a ", "&amp;",
        "http://", "`", "* ", "> ", "- ", "#", "|", "(", '"', "「", "\u0301", "\u200d", "😀", "🇩🇪", "\U000e0061", "\x00",
    ],
)  # fmt: skip
def test_the_worst_texts_come_to_an_end(piece: str, wishes: dict[str, Any]) -> None:
    """100 kB of each; a step that takes more than linear time would not come to an end here."""
    draft = cleaned(piece * (100_000 // len(piece)), **wishes)
    assert units(draft.text) <= 240
    assert draft.text or draft.why


def test_an_answer_is_looked_at_up_to_a_length() -> None:
    assert cleaned("a " * LONGEST, 1000).steps[0] == f"cut to {LONGEST} characters"
