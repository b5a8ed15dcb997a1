"""A document into the rows, in one transaction: all of it or nothing.

What the file says, the rows have afterwards. What it said at its last import and says no longer is taken back: a row it does not name
any more is disabled, a value it does not give any more returns to its default, unless another file still says it. What no file ever said,
people's work in the admin, stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import IntegrityError, transaction

from cluster import portable as cluster
from cluster import strategies
from conversations import portable as conversations
from entities import choose
from entities import portable as entities
from entities.errors import NoFeed, Objections
from swwbot_site.config import folder, ledger
from swwbot_site.config.document import Document, Part, Problem, parse, spellings
from swwbot_site.config.folder import Bundle
from swwbot_site.config.part import CADENCE, ENTITY, FEED, LIMIT, POLICY, RETENTION, SERVER, TALK
from swwbot_site.config.problems import DocumentError, Findings, failure, listed
from swwbot_site.lib import clock
from swwbot_site.lib.changes import Action, Change, Wanted
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import ConfigImport
from swwbot_site.retention import portable as retention

SECRET: Final = frozenset({"token"})
"""Columns whose values never appear in a diff, an event or an export."""

SECTIONS: Final = {SERVER: "lmStudioServers", ENTITY: "entities", FEED: "feeds"}
"""Kinds of rows that a file may stop naming, and where it names them."""

SHOWN: Final = 100
"""Changes that an event keeps in detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What an import changed (or, dry, would change), and its warnings."""

    source: str
    version: str
    changes: tuple[Change, ...]
    warnings: tuple[Problem, ...]

    def __str__(self) -> str:
        counts: dict[tuple[Action, str], int] = {}
        for change in self.changes:
            counts[change.action, change.kind] = counts.get((change.action, change.kind), 0) + 1
        told = [f"{number} {_plural(kind, number)} {action}" for (action, kind), number in counts.items()]
        return ", ".join(told) or "nothing changed"


def _plural(kind: str, number: int) -> str:
    if kind in (POLICY, TALK, RETENTION):
        return {POLICY: "cluster policy", TALK: "conversation policy", RETENTION: "retention"}[kind]
    if number == 1:
        return kind
    return "entities" if kind == ENTITY else f"{kind}s"


def apply(content: bytes | Bundle, source: str, *, dry: bool = False) -> Diff:
    """Import the content of a file or folder under the name `source`. Raises DocumentError, with nothing changed.

    `dry` does the same and takes it back. Importing the same content again writes nothing and says nothing.
    """
    document = folder.parse(content) if isinstance(content, Bundle) else parse(content)
    try:
        with transaction.atomic():
            ledger.hold()
            document.check(strategies.table(), choose.table(), (row["slug"] for row in entities.entities()))
            diff = _write(document, ledger.digest(content), source[:200])
            if dry:
                transaction.set_rollback(True)
    except Objections as exc:
        findings = Findings()
        for part in document.of(ENTITY):
            for problem in exc.problems.get(part.name, ()):
                findings.error(part.path, f"is refused: {problem}")
        raise DocumentError(findings.problems) from exc
    except NoFeed as exc:
        path = next((part.path for part in document.of(ENTITY) if part.name == exc.name), document.of(LIMIT)[0].path)
        raise failure(f"{path}.rateLimits.rules" if exc.name else f"{path}.rules", str(exc)) from exc
    except IntegrityError as exc:
        raise failure("$", f"clashes with a row that the file does not describe: {_reason(exc)}") from exc
    return diff


def _reason(exc: IntegrityError) -> str:
    diagnosis = getattr(exc.__cause__, "diag", None)
    return str(getattr(diagnosis, "message_detail", None) or exc).strip().splitlines()[0]


def _write(document: Document, digest: str, source: str) -> Diff:
    last = ledger.last(source)
    known = Known(
        before=last.said if last else {},
        retired=last.retired if last else {},
        elsewhere={other.source: other.said for other in ledger.others(source)},
    )
    kept = retention.put(known.single(document, RETENTION))  # first: who throws away holds this row, and then feeds
    feeds = [known.wanted(part) for part in document.of(FEED)]
    chat = conversations.put_feeds(feeds)  # before the rest: limits may name a feed, and rooms entities
    changes = entities.put_entities([known.wanted(part) for part in document.of(ENTITY)], source)
    changes += entities.put_limits(known.single(document, LIMIT))
    changes += cluster.put_servers([known.wanted(part) for part in document.of(SERVER)])
    changes += cluster.put_policy(known.single(document, POLICY))
    changes += conversations.put_talk(known.single(document, TALK))
    changes += [*kept, *chat, *conversations.put_rooms(feeds)]
    changes += conversations.put_cadence(known.single(document, CADENCE), known.described(document, FEED))
    left = entities.retire_entities(known.gone(document, ENTITY), source)
    left += cluster.retire_servers(known.gone(document, SERVER))
    left += conversations.retire_feeds(known.gone(document, FEED))
    changes += left

    warnings = (*document.problems, *_dangling(document), *known.kept(document))
    diff = Diff(source=source, version=document.version, changes=tuple(changes), warnings=warnings)
    here = ledger.mine(source)
    fresh = last is None or last.digest != digest
    if changes or fresh or here is None or here.digest != digest or here.outcome != ConfigImport.Outcome.IMPORTED:
        retired = known.still_retired(document, left)
        ledger.note(
            source,
            digest,
            ConfigImport.Outcome.IMPORTED,
            clock.now(),
            version=document.version,
            said=_said(document.parts),
            retired=retired,
        )
    if changes or fresh:
        _tell(diff)
    return diff


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known from before: what this source said at its last import and had disabled, and what each other source says.

    `before` is kind → name → columns, `elsewhere` source → the same, `retired` kind → names.
    """

    before: Mapping[str, Mapping[str, list[str]]]
    elsewhere: Mapping[str, Mapping[str, Mapping[str, list[str]]]]
    retired: Mapping[str, list[str]]

    def wanted(self, part: Part) -> Wanted:
        """A part as the row it wants."""
        former = set(self.before.get(part.kind, {}).get(part.name, ()))
        others = {column for said in self.elsewhere.values() for column in said.get(part.kind, {}).get(part.name, ())}
        revive = part.name in self.retired.get(part.kind, ())
        # An export leaves secrets out; importing it in the place of the file that gave them must not lose them.
        back = frozenset(former - set(part.said) - others - SECRET)
        return Wanted(name=part.name, said=part.said, assumed=part.assumed, back=back, revive=revive)

    def single(self, document: Document, kind: str) -> Wanted:
        """The part of a kind that has one row."""
        return self.wanted(document.of(kind)[0])

    def described(self, document: Document, kind: str) -> set[str]:
        """Names that this or another source describes."""
        return {part.name for part in document.of(kind)} | {name for said in self.elsewhere.values() for name in said.get(kind, {})}

    def gone(self, document: Document, kind: str) -> set[str]:
        """Names that this source said before, and nobody says now."""
        return set(self.before.get(kind, {})) - self.described(document, kind)

    def kept(self, document: Document) -> tuple[Problem, ...]:
        """Warnings for rows that this source names no longer, but another does."""
        found = Findings()
        for kind, key in SECTIONS.items():
            dropped = set(self.before.get(kind, {})) - {part.name for part in document.of(kind)}
            for source, said in self.elsewhere.items():
                still = sorted(dropped & set(said.get(kind, {})))
                if still:
                    found.warn(
                        f"$.{key}",
                        f"names {listed(still)} no longer, but {source} does, so nothing is disabled; import that file again without",
                    )
        return found.settle()

    def still_retired(self, document: Document, left: Iterable[Change]) -> dict[str, list[str]]:
        """Names that are disabled because this source names them no longer."""
        names = {kind: set(each) for kind, each in self.retired.items()}
        for change in left:
            names.setdefault(change.kind, set()).add(change.name)
        return {kind: sorted(each - {part.name for part in document.of(kind)}) for kind, each in names.items()}


def _said(parts: Iterable[Part]) -> dict[str, dict[str, list[str]]]:
    said: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        said.setdefault(part.kind, {})[part.name] = sorted(part.said)
    return said


def _dangling(document: Document) -> tuple[Problem, ...]:
    servers = {spelling for row in cluster.servers() for spelling in spellings(row["name"], row["url"])}
    found = Findings()
    if document.of(CADENCE)[0].said and not conversations.feeds():
        found.warn("$.botSettings.pollingInterval", "has no effect: there is no feed yet; set FEED_URL, or describe it under feeds")
    return (*document.dangling(servers, (row["slug"] for row in entities.entities())), *found.settle())


def _tell(diff: Diff) -> None:
    wake(Channel.SETTINGS, Channel.SERVE, Channel.LISTEN)
    warned = f"; {len(diff.warnings)} warning{'s' if len(diff.warnings) != 1 else ''}" if diff.warnings else ""
    detail = [
        {"kind": change.kind, "name": change.name, "action": change.action, "fields": told(change)} for change in diff.changes[:SHOWN]
    ]
    say(
        "config.imported",
        f"{diff.source} imported: {diff}{warned}",
        subject=f"config:{diff.source}",
        level=Level.INFO,
        version=diff.version,
        changes=detail,
        warnings=[str(problem) for problem in diff.warnings[:SHOWN]],
    )


def told(change: Change, length: int = 200) -> dict[str, list[str]]:
    """A change for people: column → [before, after] as short texts, secrets hidden; of a new row only the columns' values."""
    return {column: [_text(column, value, length) for value in pair] for column, pair in change.fields.items()}


def _text(column: str, value: Any, length: int) -> str:
    if column in SECRET:
        return "set" if value else "empty"
    text = "" if value is None else str(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"
