"""Is every part well, and what to do if not: rows first, then a live look at all peers at once."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core import checks

from cluster import examine as servers
from cluster import queue
from cluster import read as cluster
from conversations import examine as feeds
from conversations import read as conversations
from entities import choose
from entities import read as entities
from entities.logic.persona import Persona
from swwbot_site.config.document import DocumentError, parse
from swwbot_site.lib import clock
from swwbot_site.monitoring import health

STUCK: Final = timedelta(minutes=2)
"""A request that waits longer although it may run is a sign."""


class Verdict(StrEnum):
    """How a part is."""

    WELL = "well"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: what it is, how it is, and what to do (empty if nothing)."""

    part: str
    name: str
    verdict: Verdict
    text: str
    advice: str = ""


def examine() -> tuple[Part, ...]:
    """Every part. Without a database only what can be said without it. Takes as long as the slowest peer, about 10 s at most."""
    found = [*_settings()]
    ready = health.readiness()
    found += [
        Part(part=check.name, name="", verdict=Verdict.WELL if check.well else Verdict.FAULT, text=check.text, advice=check.advice)
        for check in ready
    ]
    if all(check.well for check in ready if check.name != "engine") and len(ready) > 1:
        looked_at = servers.subjects(), feeds.subjects()
        seen, read = asyncio.run(_look(*looked_at))
        found += [*_queue(), *_posting(), *_strategy(), *_choosing(), *_feeds(read), *_servers(seen), *_entities(entities.personas(), seen)]
    return tuple(found)


async def _look(
    at: tuple[servers.Subject, ...], of: tuple[feeds.Subject, ...]
) -> tuple[tuple[servers.Finding, ...], tuple[feeds.Finding, ...]]:
    async with asyncio.TaskGroup() as tasks:
        seen, read = tasks.create_task(servers.look(at)), tasks.create_task(feeds.look(of))
    return seen.result(), read.result()


def _settings() -> Iterator[Part]:
    wrong = checks.run_checks()
    for message in wrong:
        serious = message.level >= checks.ERROR
        verdict = Verdict.FAULT if serious else Verdict.WARNING
        yield Part(part="settings", name=message.id or "", verdict=verdict, text=message.msg, advice=message.hint or "")
    if not wrong:
        yield Part(part="settings", name="", verdict=Verdict.WELL, text="all sound")
    if settings.DRY_RUN:
        text = "DRY_RUN is on: answers are decided and written, and nothing is posted"
        yield Part(part="settings", name="DRY_RUN", verdict=Verdict.WARNING, text=text, advice="Unset it to go live.")
    if settings.CONFIG:
        yield _config(Path(settings.CONFIG))


def _config(path: Path) -> Part:
    try:
        document = parse(path.read_bytes())
    except OSError as exc:
        return Part(part="settings", name="CONFIG", verdict=Verdict.FAULT, text=f"{path} cannot be read: {exc}", advice="Correct CONFIG.")
    except DocumentError as exc:
        return Part(
            part="settings",
            name="CONFIG",
            verdict=Verdict.FAULT,
            text=str(exc),
            advice="Correct the file; the last good state is in force.",
        )
    if document.problems:
        text = f"{path.name} is valid, with {len(document.problems)} warnings"
        return Part(
            part="settings", name="CONFIG", verdict=Verdict.WARNING, text=text, advice=f"See them: manage.py importconfig --dry-run {path}"
        )
    return Part(part="settings", name="CONFIG", verdict=Verdict.WELL, text=f"{path.name} is valid")


def _queue() -> Iterator[Part]:
    view, stuck = cluster.overview(), cluster.stuck(clock.now(), STUCK)
    pace = conversations.pace(clock.now() - timedelta(minutes=5))
    text = f"{view.waiting} wait, {view.running} run; {pace.posted} answers posted and {pace.failed} failed in 5 minutes"
    if stuck:
        advice = "manage.py clusterstatus shows for which model; the servers and models below say why."
        yield Part(part="queue", name="", verdict=Verdict.WARNING, text=f"{text}; {stuck} wait longer than 2 minutes", advice=advice)
    else:
        yield Part(part="queue", name="", verdict=Verdict.WELL, text=text)


def _posting() -> Iterator[Part]:
    stopped, held = conversations.stopped(), conversations.open_replies().get("held", 0)
    if stopped:
        advice = "manage.py resume lets answers be posted again."
        yield Part(part="posting", name="", verdict=Verdict.WARNING, text=str(stopped), advice=advice)
    else:
        waiting = f"; {held} on hold wait for a person" if held else ""
        yield Part(part="posting", name="", verdict=Verdict.WELL, text=f"answers are posted{waiting}")


def _strategy() -> Iterator[Part]:
    name, known = servers.strategy()
    if name not in known:
        text = f"the cluster policy asks for the strategy {name!r}, which is not there: no request is given to any server"
        advice = f"Choose one of {', '.join(known)} in the cluster policy, or name in PLUGINS the module that brings it."
        yield Part(part="policy", name="strategy", verdict=Verdict.FAULT, text=text, advice=advice)


def _choosing() -> Iterator[Part]:
    known = choose.table()
    for where, name in conversations.strategies():
        if name not in known:
            text = f"{where} asks for the reply strategy {name!r}, which is not there: nobody answers by chance"
            advice = f"Choose one of {', '.join(sorted(known))} in the admin, or name in PLUGINS the module that brings it."
            yield Part(part="feed", name=where, verdict=Verdict.FAULT, text=text, advice=advice)


def _feeds(found: Iterable[feeds.Finding]) -> Iterator[Part]:
    every = list(found)
    if not any(one.enabled for one in every):
        advice = "Add one in the admin under Feeds, or set FEED_URL."
        yield Part(part="feed", name="", verdict=Verdict.FAULT, text="there is no feed to read", advice=advice)
    for one in every:
        if one.error:
            yield Part(
                part="feed",
                name=one.feed,
                verdict=Verdict.FAULT,
                text=one.text,
                advice="Correct its address in the admin, or start the backend.",
            )
        else:
            verdict = Verdict.WARNING if one.advice else Verdict.WELL
            yield Part(part="feed", name=one.feed, verdict=verdict, text=one.text, advice=one.advice)


def _servers(found: Iterable[servers.Finding]) -> Iterator[Part]:
    every = list(found)
    if not any(one.enabled for one in every):
        advice = "Add one in the admin, set LM_STUDIO_URL, or import a configuration."
        yield Part(part="server", name="", verdict=Verdict.FAULT, text="there is no server to answer", advice=advice)
    for one in every:
        advice = "Start LM Studio's server there and let it listen on the network, or switch the server off in the admin."
        if one.error in ("misconfigured", "capability-missing"):
            advice = "Correct its address, token or dialect in the admin."
        if one.error == "rate-limited":
            advice = "It is left alone for as long as it asks; give it less to do, or raise its limit."
        if one.error:
            yield Part(part="server", name=one.server, verdict=Verdict.FAULT, text=one.text, advice=advice)
        else:
            yield Part(part="server", name=one.server, verdict=Verdict.WELL, text=one.text)


def _entities(every: Iterable[Persona], seen: tuple[servers.Finding, ...]) -> Iterator[Part]:
    on = [one for one in every if one.enabled]
    default = servers.default_model()
    if not on:
        advice = "Add one in the admin, or import a configuration."
        yield Part(part="entity", name="", verdict=Verdict.WARNING, text="no entity is switched on: nobody answers", advice=advice)
    for name in sorted({one.model or default for one in on} - {""}):
        yield _model(name, [one.slug for one in on if (one.model or default) == name], seen)
    for one in on:
        if not one.model and not default:
            advice = "Name one in the entity, or a default model in the cluster policy."
            yield Part(part="entity", name=one.slug, verdict=Verdict.FAULT, text="names no model, and there is no default", advice=advice)
        if one.preferred_server:
            yield from _pin(one, default, seen)


def _model(name: str, slugs: list[str], seen: tuple[servers.Finding, ...]) -> Part:
    spelled = servers.spellings(name)
    offered = [one.server for one in seen if one.has(spelled)]
    whose = ", ".join(slugs[:5]) + (f" and {len(slugs) - 5} more" if len(slugs) > 5 else "")
    if offered:
        return Part(part="model", name=name, verdict=Verdict.WELL, text=f"on {', '.join(offered)}; for {whose}")
    if any(one.error for one in seen if one.enabled):
        text, advice = f"no server that answers has it; needed by {whose}", "Mend the servers above, or download it on one that answers."
    else:
        text, advice = f"no server has it; needed by {whose}", "Download it on a server, or correct its name in the entity."
    return Part(part="model", name=name, verdict=Verdict.FAULT, text=text, advice=advice)


def _pin(one: Persona, default: str, seen: tuple[servers.Finding, ...]) -> Iterator[Part]:
    try:
        server = queue.pinned(one.preferred_server)
    except queue.NoServer as exc:
        yield Part(
            part="entity", name=one.slug, verdict=Verdict.FAULT, text=str(exc), advice="Correct its preferred server, or leave it empty."
        )
        return
    if server is None:
        return
    for found in seen:
        if found.server == server.name and not found.enabled:
            text = f"may only use {server.name}, which is switched off"
            yield Part(
                part="entity",
                name=one.slug,
                verdict=Verdict.FAULT,
                text=text,
                advice="Switch that server on, or leave its preferred server empty.",
            )
        elif found.server == server.name and not found.error and not found.has(servers.spellings(one.model or default)):
            text = f"may only use {server.name}, which does not have {one.model or default}"
            yield Part(
                part="entity",
                name=one.slug,
                verdict=Verdict.FAULT,
                text=text,
                advice="Download it there, or leave its preferred server empty.",
            )
