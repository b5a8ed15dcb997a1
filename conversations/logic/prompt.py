"""From a persona and the lines it sees to the messages of a request.

Three formats, as the original's operation left them (reference/saywhatwant.md, 3.2):

* `blob` (September): a system message with the context and the active users in it, then the user prompt.
* `joined` (October): one message, in the persona's role, of everything, ending as the persona wants it to end.
* `turns` (November): humans are the user, the persona's own lines the assistant; roles alternate, the user comes last.
"""

from collections.abc import Sequence

from conversations.logic.context import speakers
from entities.logic.persona import Persona

Messages = tuple[dict[str, str], ...]


def build(persona: Persona, shown: Sequence[str], username: str) -> Messages:
    """The messages to send. `shown` are lines "name: text", the last one is to be answered; `username` is whom we answer as."""
    if persona.prompt_format == "turns":
        return _turns(persona, shown, username)
    if persona.prompt_format == "joined":
        return _joined(persona, shown, username)
    return _blob(persona, shown)


def _blob(persona: Persona, shown: Sequence[str]) -> Messages:
    context = "\n".join(shown)
    users = ", ".join(speakers(shown))
    return (
        {"role": "system", "content": f"{persona.system_prompt}\n\nContext: {context}\nActive users: {users}"},
        {"role": "user", "content": persona.user_prompt},
    )


def _joined(persona: Persona, shown: Sequence[str], username: str) -> Messages:
    parts = [part for part in (persona.system_prompt, persona.user_prompt) if part]
    text = "\n\n".join([*parts, "Context: " + "\n".join(shown)])
    if persona.add_newline_to_context:
        text += "\n"
    if persona.add_entity_username:
        text += f"{username}: " if text.endswith("\n") else f"\n{username}: "
    return ({"role": persona.system_role, "content": text},)


def _turns(persona: Persona, shown: Sequence[str], username: str) -> Messages:
    turns: list[dict[str, str]] = []
    for number, line in enumerate(shown, start=1):
        name, _, text = line.partition(":")
        own = name.strip() == username and number < len(shown)  # the last one is to be answered, whatever name its author took
        role, content = ("assistant", text.strip()) if own else ("user", line)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{content}"
        else:
            turns.append({"role": role, "content": content})
    while turns and turns[0]["role"] == "assistant":
        turns.pop(0)  # a conversation that begins with the assistant breaks some engines
    system = "\n\n".join(part for part in (persona.system_prompt, persona.user_prompt) if part)
    return ({"role": "system", "content": system}, *turns) if system else tuple(turns)
