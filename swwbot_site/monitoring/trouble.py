"""What keeps messages from being answered, in words, with what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.read import Overview
from conversations.read import Source, Stop, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that keeps messages from being answered, and what to do. `stop`: it is the global stop."""

    text: str
    advice: str
    stop: bool = False


def troubles(
    view: Overview,
    engines: Sequence[Worker],
    feeds: Sequence[Source],
    entities: tuple[int, int],
    now: datetime,
    stopped: Stop | None = None,
) -> tuple[Trouble, ...]:
    """What is wrong, the worst first. `entities`: how many there are, and how many are on."""
    found = []
    if stopped:
        advice = "It waits for somebody to resume it: here, in the admin under Posting and policy, or with manage.py resume."
        found.append(Trouble(text=f"{stopped}.", advice=advice, stop=True))
    if not any(engine.living for engine in engines):
        text = "No engine is running: nothing is read, answered or posted."
        found.append(Trouble(text=text, advice="Start a worker: make up, or manage.py qcluster."))
    there, on = entities
    missing = [name for name, some in (("server", view.servers), ("feed", feeds), ("entity", there)) if not some]
    if missing:
        advice = "Add one in the admin, or import a configuration there, under Imports."
        found.append(Trouble(text=f"There is no {' and no '.join(missing)} yet.", advice=advice))
    if there and not on:
        found.append(Trouble(text="Every entity is switched off.", advice="Switch one on in the admin, under Entities."))
    if feeds and not any(feed.enabled for feed in feeds):
        found.append(Trouble(text="Every feed is switched off.", advice="Switch one on in the admin, under Feeds."))
    enabled = [server for server in view.servers if server.enabled]
    if view.servers and not enabled:
        found.append(Trouble(text="Every server is switched off.", advice="Switch one on in the admin, under Servers."))
    elif enabled and not any(server.state == "online" for server in enabled):
        found.append(Trouble(text="No server is online.", advice="Each card says why; manage.py doctor asks them all again."))
    found += [_of_feed(feed, now) for feed in feeds if feed.enabled and _ails(feed, now)]
    return tuple(found)


def _late(feed: Source, now: datetime) -> bool:
    return feed.polled_at is not None and now - feed.polled_at > timedelta(seconds=max(30.0, 6 * feed.poll_interval_s))


def _ails(feed: Source, now: datetime) -> bool:
    return bool(feed.failures) or _late(feed, now)


def _of_feed(feed: Source, now: datetime) -> Trouble:
    if not feed.failures:
        return Trouble(text=f"The feed {feed.name} has not been read for a while.", advice="Is an engine running?")
    text = f"The feed {feed.name} fails ({feed.failures} times in a row): {feed.error}"
    return Trouble(text=text, advice="Its address is in the admin, under Feeds.")
