"""What the windows of rate limits hold, counted from the permits' rows where they lie: a few index scans, however long the ledger is."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from entities.logic.quota import Rule, Use
from entities.models import Permit
from swwbot_site.lib.written import literals, together

Asked = tuple[int, Rule]
"""An entity and a rule that it obeys."""

_TABLE: Final = Permit._meta.db_table

_COUNT: Final = """SELECT {n}, reserved.n, spent.n,
 CASE WHEN reserved.n < {posts} AND reserved.n + spent.n >= {posts} THEN
  (SELECT p.settled_at FROM {table} p WHERE {scope} {spent} ORDER BY p.settled_at DESC OFFSET {posts} - 1 - reserved.n LIMIT 1) END,
 CASE WHEN spent.n >= {posts} THEN spent.oldest END
FROM {asked}
CROSS JOIN LATERAL (SELECT count(*) AS n FROM {table} p WHERE {scope} p.state = 'reserved') AS reserved
CROSS JOIN LATERAL (SELECT count(*) AS n, min(newest.settled_at) AS oldest FROM
 (SELECT p.settled_at FROM {table} p WHERE {scope} {spent} ORDER BY p.settled_at DESC LIMIT {posts}) AS newest) AS spent"""
"""The numbers of `Use` in one snapshot: a permit that is settled meanwhile counts once, as one or as the other."""


def uses(asked: Iterable[Asked], now: datetime) -> dict[Asked, Use]:
    """What the window of each rule holds now, all of them in one question to the database."""
    own: dict[bool, list[Asked]] = {False: [], True: []}
    common: dict[Rule, Asked] = {}
    wanted = list(asked)
    for each in wanted:
        if each[1].whole:
            common.setdefault(each[1], each)
        else:
            own[each[1].feed_id is not None].append(each)
    groups = [group for group in own.values() if group]
    statements = [_own(group, now) for group in groups] + [_common(rule, now) for rule in common]
    found: dict[Asked, Use] = {}
    for group, rows in zip([*groups, *([each] for each in common.values())], together(*statements), strict=True):
        for n, reserved, spent, leaves, clears in rows:
            found[group[n]] = Use(spent=spent, reserved=reserved, leaves=leaves, clears=clears)
    return {(entity_id, rule): found[common[rule] if rule.whole else (entity_id, rule)] for entity_id, rule in wanted}


def _own(group: list[Asked], now: datetime) -> str:
    """Rules of entities, all of them of feeds or none: one statement with a row for each."""
    moments = literals(now - rule.span for _, rule in group)
    rows = (
        f"({n}, {entity_id}::bigint, {rule.feed_id or 'NULL'}::bigint, {rule.posts}::bigint, {since})"
        for n, ((entity_id, rule), since) in enumerate(zip(group, moments, strict=True))
    )
    scope = "p.entity_id = asked.entity AND " + ("p.feed_id = asked.feed AND " if group[0][1].feed_id is not None else "")
    return _written(
        scope,
        {"n": "asked.n", "posts": "asked.posts", "since": "asked.since"},
        f"(VALUES {', '.join(rows)}) AS asked(n, entity, feed, posts, since)",
    )


def _common(rule: Rule, now: datetime) -> str:
    """A rule of all entities together, with its values written out: so the planner sees how short the window is."""
    scope = f"p.feed_id = {rule.feed_id} AND " if rule.feed_id is not None else ""
    (since,) = literals([now - rule.span])
    return _written(scope, {"n": "0", "posts": str(rule.posts), "since": since}, "(SELECT 1) AS asked")


def _written(scope: str, values: Mapping[str, str], asked: str) -> str:
    spent = f"p.state = 'spent' AND p.settled_at > {values['since']}"
    return _COUNT.format(table=_TABLE, scope=scope, spent=spent, asked=asked, n=values["n"], posts=values["posts"])
