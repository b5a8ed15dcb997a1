"""Takes out what belongs to a model's template and not to its answer: the marks of turns, and tokens that mean no text.

A mark of a turn in front of the answer is only taken away, and if the turns before it are somebody else's, so are they. Behind the
answer it is where the answer ends: what follows is a turn that nobody asked for.
"""

import re
from typing import Final

_ROLES: Final = "system|user|human|assistant|model|gpt|bot|tool|developer|ipython"

_TURN: Final = re.compile(
    rf"""(?:<\|im_start\|>|<start_of_turn>|<\|start\|>|<\|start_header_id\|>|<\|role_start\|>)\s{{0,3}}(?P<role>{_ROLES})?\b\s{{0,3}}
           (?:<\|end_header_id\|>|<\|message\|>|<\|role_end\|>)?
       | <\|(?P<role2>{_ROLES})\|>
       | <[|｜](?P<role3>User|Assistant|System)[|｜]>
       | \[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\] | <</?SYS>>
       | </s> | <(?:eos|bos|end_of_turn|end_of_utterance|EOT|EOS|BOS)>
       | \[(?:EOS|BOS|EOT)\]
       | <\|[^<>|\n]{{1,40}}\|> | <｜[^<>｜\n]{{1,40}}｜>
       | ^\#{{2,4}}[ ]*(?P<role4>Instruction|Human|User|System|Input|Response|Assistant|Output)[ ]*(?::|$)""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_NOISE: Final = re.compile(
    r"<(?:s|unk|pad|mask|blank)>|<0x[0-9A-F]{2}>|<unused\d{1,4}>|<extra_id_\d{1,3}>|\[(?:PAD|UNK|MASK|CLS|SEP)\]"
    r"|</?(?:answer|response|final|final_answer|output|reply|assistant)>",
    re.IGNORECASE,
)
_OWN: Final = frozenset(("assistant", "model", "gpt", "bot", "response", "output"))


def answered(text: str) -> str:
    """The answer itself: what stands between the marks that lead to it and the first mark behind it."""
    text = _NOISE.sub("", text)
    at, own = 0, True
    for mark in _TURN.finditer(text):
        part = text[at : mark.start()]
        if own and part.strip():
            return part
        at = mark.end()
        role = (mark["role"] or mark["role2"] or mark["role3"] or mark["role4"] or "").lower()
        own = role in _OWN if role else own
    return text[at:] if own else ""
