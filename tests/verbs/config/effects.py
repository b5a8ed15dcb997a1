"""What the keys of a configuration do, seen where it matters: in a decision, a request, a post, a plan, a limit."""

import ast
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cluster.models import ClusterPolicy, Server
from conversations.logic.context import lines
from conversations.logic.overrides import overrides
from conversations.logic.prompt import characterised, draft, finish
from conversations.logic.reply import Draft, clean
from conversations.models import ConversationPolicy
from conversations.tidying import tidied
from entities import read
from entities.logic.persona import Persona
from entities.models import Entity
from swwbot_site.config.document import Document, parse
from tests.logic.conversations.values import MS, judged, line

ROOT = Path(__file__).parents[3]
OWL = {"id": "owl", "username": "Owl", "color": "001002003", "systemPrompt": "You are an owl.", "userPrompt": "Speak."}


class Case(NamedTuple):
    """`key` is said to be `value`, beside `besides`; `seen` gives `without` before and `then` with it."""

    value: Any
    seen: Callable[[Any], Any]
    without: Any
    then: Any
    besides: Mapping[str, Any] = {}


class Shown(NamedTuple):
    """`key` sets `column` to `then` when it is said to be `value`; a test in `where` shows what the column does."""

    value: Any
    column: str
    then: Any
    where: str
    word: str = ""


def nested(key: str, value: Any) -> dict[str, Any]:
    """A dotted key as objects."""
    tree = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    assert isinstance(tree, dict)
    return tree


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def document(tree: Mapping[str, Any]) -> Document:
    return parse(json.dumps(tree))


def part(tree: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a document says about the first row of a kind, assumptions included."""
    found = document(tree).of(kind)[0]
    return {**found.assumed, **found.said}


def persona(raw: Mapping[str, Any]) -> Persona:
    """The persona of an entity's object."""
    columns = part({"entities": [{**OWL, **raw}]}, "entity")
    slug = document({"entities": [{**OWL, **raw}]}).of("entity")[0].name
    return read.persona(Entity(slug=slug, **{name: value for name, value in columns.items() if not name.startswith("limits.")}))


# --- decisions ---------------------------------------------------------------------------------------------------
def answers(text: str = "Hello", dice: float = 0.5, **message: Any) -> Callable[[Persona], bool]:
    """Whether the persona answers a line."""
    crow = read.persona(Entity(slug="crow", username="Crow", color="0"))

    def seen(who: Persona) -> bool:
        return who.slug in {yes.persona.slug for yes in judged(line(text, **message), [who, crow], dice=lambda _: dice).yes}

    return seen


def refused(who: Persona) -> str:
    """What the verdict says of it when it is asked for by its id."""
    return str(judged(line("Hello", params={"entity": who.slug}), [who]).document())


def wish(name: str) -> Callable[[Persona], Any]:
    """As whom, by which model, how urgently it answers."""
    return lambda who: getattr(overrides(line("Hello"), who, lambda _: 0.5), name)


# --- requests ----------------------------------------------------------------------------------------------------
SAID = [line("hi all", id=0, timestamp=MS - 100), line("well hello", id=1, timestamp=MS - 99, username="Owl", kind="AI", own=True)]


def request(who: Persona) -> dict[str, Any]:
    """The body of the request for an answer."""
    it = draft(who, lines(who, line("what is time?", id=9), SAID, who.username), username=who.username, model=who.model, room=4096)
    it.system = characterised(it.system, who)
    finish(it)
    return it.request().document()


def body(*path: Any) -> Callable[[Persona], Any]:
    """A part of that body; None if it is not there."""

    def seen(who: Persona) -> Any:
        found: Any = request(who)
        for step in path:
            found = found.get(step) if isinstance(found, dict) else found[step]
        return found

    return seen


def shape(who: Persona) -> list[str]:
    """The roles of its messages."""
    return [one["role"] for one in request(who)["messages"]]


def within(text: str) -> Callable[[Persona], bool]:
    """Whether a text stands in one of its messages."""
    return lambda who: any(text in one["content"] for one in request(who)["messages"])


# --- posts -------------------------------------------------------------------------------------------------------
def post(raw: str, **over: Any) -> Callable[[Persona], str]:
    """What is posted of an answer, or in angle brackets that nothing is."""

    def seen(who: Persona) -> str:
        it = Draft(persona=who, raw=raw, text=raw, username=who.username, limit=240, **over)
        clean(it)
        return "<nothing>" if it.why else it.text

    return seen


def common(raw: str) -> Callable[[ConversationPolicy], str]:
    """What is posted of an answer under the settings of all."""

    def seen(policy: ConversationPolicy) -> str:
        return tidied(persona({}), raw, username="Owl", others=(), limit=240, policy=policy).text

    return seen


# --- rows that are not saved -------------------------------------------------------------------------------------
def server(raw: Mapping[str, Any]) -> Server:
    columns = part({"lmStudioServers": [{"name": "mac", "ip": "10.0.0.1", "capabilities": {"maxMemory": 80}, **raw}]}, "server")
    return Server(state="online", **columns)


def cluster(raw: Mapping[str, Any]) -> ClusterPolicy:
    return ClusterPolicy(**part({"clusterSettings": raw}, "policy"))


def talk(raw: Mapping[str, Any]) -> ConversationPolicy:
    return ConversationPolicy(**part({"globalSettings": raw}, "conversation"))


@cache
def tests_of(where: str) -> tuple[str, ...]:
    """The sources of the tests of a file, their cases included."""
    text = (ROOT / where).read_text()
    tests = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    whole = (node for node in tests if node.name.startswith("test_"))
    lines = text.splitlines()
    return tuple(
        "\n".join(lines[min((d.lineno for d in node.decorator_list), default=node.lineno) - 1 : node.end_lineno]) for node in whole
    )
