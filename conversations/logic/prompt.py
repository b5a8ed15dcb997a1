"""From a persona and the lines it sees to a request.

Three formats, as the original's operation left them (reference/saywhatwant.md, 3.2):

* `blob` (September): a system message with the context and the active users in it, then the user prompt.
* `joined` (October): one message, in the persona's role, of everything, ending as the persona wants it to end.
* `turns` (November): warm-up turns, then the lines: what the persona said is the assistant, all else the user. Roles alternate, the
  user comes first and last.

The persona's role says who speaks its prompt: with `user`, where a model's template has no system role, the prompt joins the first
message of the user. In turns, where nobody but the system may begin, `assistant` does so too.

A draft is put together in two steps: its parts, which plugins may change; then the messages, laid out and fitted into the context by
what is said here alone, so that no plugin can break the order of the roles or the budget.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cluster.logic.request import Request
from conversations.logic import tokens
from conversations.logic.context import Spoken, speakers
from conversations.logic.fence import sound
from entities.logic.persona import Persona
from swwbot_site.lib.errors import BotError, Fault

ANSWER: Final = 500
"""Tokens kept free for the answer where the persona sets no limit."""

LEAST: Final = 32
"""An answer that may have fewer tokens is not worth asking for."""

Messages = list[dict[str, str]]


class TooLong(BotError):
    """The persona's prompt and the message to be answered fill the model's context."""

    code = "prompt-too-long"
    fault = Fault.OPERATOR


@dataclass(slots=True, kw_only=True)
class Draft:
    """A request in the making. Tokens are reckoned, see `tokens`."""

    persona: Persona
    username: str
    """Whom it answers as."""
    model: str
    room: int
    """Tokens for prompt and answer together."""
    system: str
    instruction: str
    """The user prompt."""
    lines: list[Spoken]
    """What it sees, oldest first; the last one is to be answered."""
    warmup: list[Mapping[str, str]] = field(default_factory=list)
    """Turns before the conversation: role and content. In turns only."""
    sampling: dict[str, float | int] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    messages: Messages = field(default_factory=list)
    """Empty until it is laid out. A plugin that fills it decides alone what is sent: nothing is added or left out."""
    tokens: int = 0
    """What the messages take."""
    dropped: list[str] = field(default_factory=list)
    """What was left out or shortened, in words."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The lines that it sees, as text."""
        return tuple(one.line for one in self.lines)

    @property
    def told(self) -> dict[str, Any]:
        """What is kept with the answer's verdict."""
        return {"shown": list(self.shown), "prompt": {"tokens": self.tokens, "room": self.room, "dropped": list(self.dropped)}}

    def request(self) -> Request:
        """What is sent."""
        return Request(messages=self.messages, sampling=self.sampling, max_tokens=self.max_tokens, stop=tuple(self.stop))


def draft(persona: Persona, lines: Sequence[Spoken], *, username: str, model: str, room: int) -> Draft:
    """The parts of a request as the persona sets them."""
    return Draft(
        persona=persona,
        username=username,
        model=model,
        room=room,
        system=persona.system_prompt,
        instruction=persona.user_prompt,
        lines=list(lines),
        warmup=list(persona.warmup),
        sampling=dict(persona.sampling),
        max_tokens=persona.max_tokens,
        stop=list(persona.stop),
    )


def characterised(system: str, persona: Persona) -> str:
    """The persona's prompt with its style and mood, if it is to show them."""
    traits = (("Style", persona.style), ("Mood", persona.mood)) if persona.use_traits else ()
    return _paragraphs(system, "\n".join(f"{name}: {trait}" for name, trait in traits if trait))


def finish(it: Draft) -> None:
    """Lay the messages out, so that they and the answer fit into the context.

    1. the answer keeps what it may have, but no more than half of the context; without a limit 500 tokens, but no more than a quarter
    2. what does not fit goes: the oldest lines first, then the oldest warm-up turns; never the persona's prompt, never the last line
    3. if that is not enough, the answer gets less

    Raises TooLong if there is no room for a short answer.
    """
    wanted = ANSWER if it.max_tokens is None else it.max_tokens
    keep = max(1, min(wanted, it.room // 2) if it.max_tokens is not None else min(wanted, it.room // 4))
    it.stop = [text for text in dict.fromkeys(sound(text) for text in it.stop) if text]
    if it.messages:
        it.tokens = tokens.messages(it.messages)
    else:
        _cut(it, it.room - keep)
    left = it.room - it.tokens
    if left < min(wanted, LEAST):
        raise TooLong(
            f"The prompt of {it.persona.slug} and the message take about {it.tokens} tokens, and an answer at least {min(wanted, LEAST)};"
            f" {it.model or 'the default model'} has {it.room} for both. Give the model a longer context, or shorten the prompt."
        )
    if left < keep or (it.max_tokens or 0) > left:
        it.dropped.append(f"the answer may have {left} tokens, not {wanted}")
        it.max_tokens = left


def _cut(it: Draft, most: int) -> None:
    """Lay out as many of the newest lines as take at most `most` tokens together with the rest."""
    everything, turns = it.lines, list(it.warmup)
    it.lines = everything[-1:]
    _lay(it)
    left, count = most - it.tokens, 1
    for cost in _costs(it.persona.prompt_format, everything):
        left -= cost
        if left < 0:
            break
        count += 1
    it.lines = everything[len(everything) - count :]
    _lay(it)
    while it.tokens > most and (len(it.lines) > 1 or it.warmup):
        if len(it.lines) > 1:
            it.lines = it.lines[1:]
        else:
            it.warmup = it.warmup[1:]
        _lay(it)
    if lost := len(everything) - len(it.lines):
        it.dropped.append(f"the {lost} oldest lines" if lost > 1 else "the oldest line")
    if lost := len(turns) - len(it.warmup):
        it.dropped.append(f"the {lost} oldest warm-up turns" if lost > 1 else "the oldest warm-up turn")


def _costs(prompt_format: str, lines: Sequence[Spoken]) -> Iterator[int]:
    """About what each line before the last adds, the newest first: itself, a name in the list of users, another turn."""
    names, own = {lines[-1].name}, lines[-1].own
    for line in reversed(lines[:-1]):
        more = 0
        if prompt_format == "turns":
            more = tokens.MESSAGE if line.own != own else 0
        elif prompt_format == "blob" and line.name not in names:
            more = tokens.text(line.name)
        names.add(line.name)
        own = line.own
        yield tokens.text(line.line) + more


def _lay(it: Draft) -> None:
    laid = {"turns": _turns, "joined": _joined}.get(it.persona.prompt_format, _blob)(it)
    it.messages = [{"role": one["role"], "content": sound(one["content"])} for one in laid]
    it.tokens = tokens.messages(it.messages)


def _blob(it: Draft) -> Messages:
    context = "\n".join(it.shown)
    users = ", ".join(speakers(it.lines))
    text = f"{it.system}\n\nContext: {context}\nActive users: {users}"
    if it.persona.system_role == "user":
        return [{"role": "user", "content": _paragraphs(text, it.instruction)}]
    return [{"role": it.persona.system_role, "content": text}, {"role": "user", "content": it.instruction}]


def _joined(it: Draft) -> Messages:
    text = _paragraphs(it.system, it.instruction, "Context: " + "\n".join(it.shown))
    if it.persona.add_newline_to_context:
        text += "\n"
    if it.persona.add_entity_username:
        text += f"{it.username}: " if text.endswith("\n") else f"\n{it.username}: "
    return [{"role": it.persona.system_role, "content": text}]


def _turns(it: Draft) -> Messages:
    warm = [(str(turn.get("role")), str(turn.get("content") or "")) for turn in it.warmup]
    head = _paragraphs(it.system, it.instruction, *(text for role, text in warm if role == "system"))
    said = [(role, text) for role, text in warm if role in ("user", "assistant")]
    names = it.persona.keep_names
    said += [("assistant", one.text) if one.own else ("user", one.line if names or not one.text else one.text) for one in it.lines]
    turns = _alternating(said)
    if head and it.persona.system_role == "system":
        return [{"role": "system", "content": head}, *turns]
    if head:
        turns[0]["content"] = f"{head}\n\n{turns[0]['content']}"
    return turns


def _alternating(said: Iterable[tuple[str, str]]) -> Messages:
    """Turns, the user's first; what one role says in a row is one turn. Many templates refuse anything else."""
    turns: Messages = []
    for role, text in said:
        if not text.strip() or (role == "assistant" and not turns):
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{text}"
        else:
            turns.append({"role": role, "content": text})
    return turns


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)
