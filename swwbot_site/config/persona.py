"""`entities[]`: one object of any format read into an entity's part, and shown."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from swwbot_site.config import escapes, section, tables
from swwbot_site.config.part import ENTITY, Part
from swwbot_site.config.problems import Findings, listed, step

NAME: Final = 16
"""UTF-16 units of a username; a backend cuts longer ones silently."""

READS: Final = 50
"""Messages an entity reads where a September file says 0 or nothing."""

NOM: Final = 100
"""The same in the October format."""

OCTOBER: Final = frozenset(
    {
        *("nom", "systemRole", "baseModel", "quantizations", "defaultQuantization"),
        *("filterOut", "trimAfter", "trimWhitespace", "addNewlineToContext", "addEntityUsername"),
    }
)
"""Keys that only entities of October have: one of them means a prompt of one message (`joined`)."""

OLDER: Final = {
    "_max_tokens": ("max_tokens", "maxTokens", "max_tokens"),
    "_top_p": ("top_p", "topP", "top_p"),
    "_top_k": ("top_k", "topK", "top_k"),
    "_min_p": ("min_p", "minP", "min_p"),
    "_repeat_penalty": ("repeat_penalty", "repeatPenalty", "repeat_penalty"),
    "_frequency_penalty": ("frequency_penalty", "frequencyPenalty", "frequency_penalty"),
    "_presence_penalty": ("presence_penalty", "presencePenalty", "presence_penalty"),
}
"""November's spelling of the sampling: hidden column → column, today's key, November's key."""

NOVEMBER: Final = frozenset({"initContext", "addVariableToContext", "modelServer", *(key for _, _, key in OLDER.values())})
"""Keys that only entities of November have: one of them means a prompt in turns, without names."""

UNSAID: Final[Mapping[str, Any]] = {"frequency_penalty": None, "presence_penalty": None, "user_prompt": ""}
"""What November's bot sent where an entity said nothing: no penalties, and no instruction besides the system prompt."""

QUANTIZATION: Final = "f16"


def read(raw: Mapping[str, Any], path: str, priority: int | None, literal: bool, findings: Findings, form: str = "") -> Part | None:
    """An entity's part; None, with an error found, if it has no id.

    `priority` is what the file gives those that name none, `form` the format of the prompt of those whose keys do not show their age.
    """
    reading = section.read(tables.ENTITY, raw if literal else escapes.decoded(raw, path, findings), path, findings)
    said, assumed = reading.said, {}
    warmed(said, path, findings)
    hidden = {column: said.pop(column) for column in [*said] if column.startswith("_")}
    slug = said.pop("slug", None)
    if slug is None:
        if "id" not in raw:
            findings.error(step(path, "id"), "is absent; every entity needs an id of its own")
        return None
    if "prompt_format" not in said and not (OCTOBER | NOVEMBER).isdisjoint(raw):
        said["prompt_format"] = form or ("joined" if NOVEMBER.isdisjoint(raw) else "turns")
        assumed["messages_to_read"] = NOM
    elif "prompt_format" not in said and form:
        said["prompt_format"] = form
        assumed["messages_to_read"] = NOM
    if "promptFormat" not in raw and said.get("prompt_format") == "turns":
        said.setdefault("keep_names", False)
        assumed |= UNSAID
    if "priority" not in said and priority is not None:
        said["priority"] = priority
    _identity(slug, said, assumed, path, findings)
    _model(hidden, said, path, findings)
    _window(hidden, said, path, findings)
    for column, (own, key, older) in OLDER.items():
        if column in hidden:
            if own in said:
                findings.warn(step(path, older), f"has no effect: {key} says {said[own]}")
            said.setdefault(own, hidden[column])
    _absent(said, path, findings)
    _idle(said, path, findings)
    if "_quantizations" in hidden:
        reading.rest["quantizations"] = hidden["_quantizations"]
    if reading.rest:
        said["extra"] = reading.rest
    return Part(kind=ENTITY, name=slug, path=path, said=said, assumed=assumed)


def _identity(slug: str, said: dict[str, Any], assumed: dict[str, Any], path: str, findings: Findings) -> None:
    name = said.get("username")
    if name is None:
        assumed["username"] = fitting(slug)
        findings.warn(step(path, "username"), f"is absent; a new entity is called {assumed['username']!r}, after its id")
    elif fitting(name) != name:
        said["username"] = fitting(name)
        findings.warn(
            step(path, "username"), f"is longer than {NAME} characters; cut to {said['username']!r}, as the backend would do silently"
        )
    color = said.get("color")
    if color is None:
        assumed["color"] = shade(slug)
        findings.warn(step(path, "color"), f"is absent; a new entity gets {assumed['color']}, made from its id")
    elif not _known(color):
        findings.warn(step(path, "color"), f"is {color!r}, neither rgb(r, g, b) nor nine digits; posted as it is")


def fitting(name: str) -> str:
    """The beginning of a name that every backend keeps whole."""
    return name.encode("utf-16-le")[: NAME * 2].decode("utf-16-le", "ignore").strip()


def shade(slug: str) -> str:
    """A colour that an id always gets, nine digits, light enough for a dark page."""
    return "".join(f"{64 + byte % 192:03d}" for byte in sha256(slug.encode()).digest()[:3])


def _known(color: str) -> bool:
    digits, _, suffix = color.partition("-")
    if digits.isascii() and digits.isdigit() and len(digits) == 9 and (suffix.isalnum() or suffix == ""):
        return all(int(digits[at : at + 3]) <= 255 for at in (0, 3, 6))
    inside = color.removeprefix("rgb(").removesuffix(")").split(",")
    numbers = [part.strip() for part in inside]
    return color.startswith("rgb(") and len(numbers) == 3 and all(n.isascii() and n.isdigit() and int(n[:9]) <= 255 for n in numbers)


def _model(hidden: Mapping[str, Any], said: dict[str, Any], path: str, findings: Findings) -> None:
    base, offered = hidden.get("_base"), hidden.get("_quantizations", {})
    if offered:
        findings.warn(
            step(path, "quantizations"),
            "only says what defaultQuantization is called (modelPath): the servers themselves say which files they have",
        )
    if base is None:
        if "_quantization" in hidden:
            findings.warn(step(path, "defaultQuantization"), "has no effect without baseModel")
        return
    if said.get("model"):
        findings.warn(step(path, "baseModel"), f"has no effect: model says {said['model']!r}")
        return
    quantization = hidden.get("_quantization", QUANTIZATION)
    chosen = offered.get(quantization) if offered else {}
    named = chosen.get("modelPath") if isinstance(chosen, dict) else None
    said["model"] = named if isinstance(named, str) and 0 < len(named.strip()) <= 300 else f"{base}@{quantization}"
    if not isinstance(chosen, dict) or chosen.get("enabled", True) is not True:
        findings.warn(step(path, "quantizations"), f"does not offer {quantization}; {said['model']} is asked for all the same")


def _window(hidden: Mapping[str, Any], said: dict[str, Any], path: str, findings: Findings) -> None:
    for column, key in (("_messages", "messagesToRead"), ("_window", "contextWindow")):
        if column not in hidden:
            continue
        where, number = step(path, key), hidden[column]
        if "messages_to_read" in said:
            findings.warn(
                where, f"has no effect: {'nom or messagesToRead' if column == '_window' else 'nom'} says {said['messages_to_read']}"
            )
            continue
        if number == 0:
            findings.warn(where, f"is 0, which means {READS}")
        said["messages_to_read"] = number or READS


def _absent(said: Mapping[str, Any], path: str, findings: Findings) -> None:
    if "system_prompt" not in said:
        findings.warn(step(path, "systemPrompt"), 'is absent; a new entity stays disabled until it has one (write "" if it needs none)')
    elif not said["system_prompt"].strip():
        findings.warn(step(path, "systemPrompt"), "is empty; the model speaks as itself")
    if not any(column.startswith("limits.") for column in said):
        findings.warn(step(path, "rateLimits"), "is absent; a new entity has no limits of its own, only those of all entities together")
    if said.get("responds_to_all_ai") and said.get("responds_to_these_ai"):
        findings.warn(
            step(step(path, "conversationSettings"), "respondsToTheseAiOnly"), "has no effect while respondsToAllAiMessages is true"
        )


FORMATS: Final = {
    "addNewlineToContext": ("add_newline_to_context", True, ("joined",)),
    "addEntityUsername": ("add_entity_username", True, ("joined",)),
    "keepNames": ("keep_names", False, ("turns",)),
    "warmup": ("warmup", None, ("turns",)),
}
"""Keys that only some formats of the prompt obey: column, the value that wants something (None: any that is not empty), formats."""


def _idle(said: Mapping[str, Any], path: str, findings: Findings) -> None:
    """Warnings for what has no effect besides what else is said."""
    form = said.get("prompt_format", "blob")
    for key, (column, value, formats) in FORMATS.items():
        if form not in formats and column in said and (said[column] == value if value is not None else said[column]):
            findings.warn(step(path, key), f"has no effect in a prompt of the format {form}, only in {listed(formats)}")
    if not said.get("use_traits"):
        for key in ("style", "mood"):
            if said.get(key):
                findings.warn(step(step(path, "traits"), key), "is kept, but has no effect without useTraits: true")


def warmed(said: dict[str, Any], path: str, findings: Findings) -> None:
    """November's `initContext` is `warmup`, unless that is said too."""
    turns = said.pop("_init", None)
    if turns is None:
        return
    if "warmup" in said:
        findings.warn(step(path, "initContext"), "has no effect: warmup is said")
    said.setdefault("warmup", turns)


def show(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entity's row as the file writes it, with what its file said besides."""
    return section.merged(section.show(tables.ENTITY, row), row["extra"])
