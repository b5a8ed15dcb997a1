"""What a model thinks is not what it says."""

import pytest

from conversations.logic.thoughts import spoken

HARMONY = "<|channel|>analysis<|message|>They greet me. Keep it short.<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello.", "Hello."),
        ("<think>who am I?</think>Hello.", "Hello."),
        ("<think>\n\n</think>\n\nHello.", "\n\nHello."),
        ("<THINKING>\nlong\nthoughts\n</thinking>\n\nHello.", "\n\nHello."),
        ('<think lang="en" depth=3>hm</think>Hello.', "Hello."),
        ("< think >hm</ think >Hello.", "Hello."),
        ("<think/>Hello.</think> Yes.", " Yes."),
        ("<thought>hm</thought>Hello.", "Hello."),
        ("<reasoning>hm</reasoning>Hello.", "Hello."),
        ("<antThinking>hm</antThinking>Hello.", "Hello."),
        ("<seed:think>hm</seed:think>Hello.", "Hello."),
        ("[THINK]hm[/THINK]Hello.", "Hello."),
        ("◁think▷hm◁/think▷Hello.", "Hello."),
        ("<|begin_of_thought|>hm<|end_of_thought|>Hello.", "Hello."),
        ("<|START_THINKING|>hm<|END_THINKING|>Hello.", "Hello."),
        ("<|thinking|>hm<|/thinking|>Hello.", "Hello."),
        ("&lt;think&gt;hm&lt;/think&gt;Hello.", "Hello."),
        ("<scratchpad>hm</scratchpad>Hello.<reflection>good</reflection>", "Hello."),
        ("<think>a</think>Hello<reasoning>b</reasoning> you.", "Hello you."),
        ("<think>a</reasoning>Hello.", "Hello."),
        # never closed, never begun, begun twice
        ("Hello.<think>was that good", "Hello."),
        ("<think>only thoughts", ""),
        ("and so I say</think>Hello.", "Hello."),
        ("a</think>b</think>Hello.", "Hello."),
        ("<think><think>hm</think>Hello.", "Hello."),
        ("<think>a<think>b</think>c</think>Hello.", "Hello."),
        ("Well. <think>a<think>b</think>c</think>Hello.", "Well. Hello."),
        # channels
        (HARMONY, "Hello!"),
        ("<|channel|>final<|message|>Hello!", "Hello!"),
        ("<|channel|>analysis<|message|>Only thoughts.<|end|>", ""),
        ("<|channel|>commentary to=functions.x<|constrain|>json<|message|>{}<|call|>", ""),
        ("analysisThe user greets.assistantfinalHello!", "Hello!"),
        ("analysis: it is said that the assistantfinal came", " came"),
        # cut off in the middle of a mark
        ("Hello.<thin", "Hello."),
        ("Hello.<|think", "Hello."),
        ("Hello. </reaso", "Hello. "),
        # what only looks like it
        ("I think <3 is nice", "I think <3 is nice"),
        ("thinking about [this]", "thinking about [this]"),
        ("a < b and c > d", "a < b and c > d"),
        ("analysis is my hobby", "analysis is my hobby"),
        ("I love <the", "I love <the"),
    ],
)
def test_thoughts_go_and_what_is_said_stays(raw: str, text: str) -> None:
    assert spoken(raw) == text
