"""The door for reading entities: frozen values, no rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, Q

from entities.logic.lifecycle import PermitState
from entities.logic.persona import Persona
from entities.logic.quota import Quota, Rule
from entities.models import Entity, Permit, RateLimit
from entities.spend import measure, measured

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "frequency_penalty", "presence_penalty")


def persona(row: Entity) -> Persona:
    """An entity's row as a value."""
    sampling = {name: getattr(row, name) for name in SAMPLING if getattr(row, name) is not None}
    return Persona(
        id=row.pk,
        slug=row.slug,
        username=row.username,
        color=row.color,
        model=row.model,
        preferred_server=row.preferred_server,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        aliases=tuple(row.aliases),
        triggers=tuple(row.triggers),
        interests=tuple(row.interests),
        style=row.style,
        mood=row.mood,
        use_traits=row.use_traits,
        system_prompt=row.system_prompt,
        user_prompt=row.user_prompt,
        prompt_format=row.prompt_format,
        system_role=row.system_role,
        messages_to_read=row.messages_to_read,
        add_newline_to_context=row.add_newline_to_context,
        add_entity_username=row.add_entity_username,
        keep_names=row.keep_names,
        warmup=tuple(row.warmup),
        sampling=sampling,
        max_tokens=row.max_tokens,
        stop=tuple(row.stop),
        filter_out=tuple(row.filter_out),
        trim_after=tuple(row.trim_after),
        trim_whitespace=row.trim_whitespace,
        newlines=row.newlines,
        links=row.links,
        markup=row.markup,
        max_similarity=row.max_similarity,
        response_chance=row.response_chance,
        weight=row.weight,
        priority=row.priority,
        responds_to_humans=row.responds_to_humans,
        responds_to_all_ai=row.responds_to_all_ai,
        responds_to_these_ai=tuple(row.responds_to_these_ai),
        max_age_s=row.max_age_s,
        when_limited=row.when_limited,
        hold=row.hold,
        max_failures=row.max_failures,
        enabled_at=row.enabled_at,
        cache_answers=row.cache_answers,
    )


def personas() -> tuple[Persona, ...]:
    """All entities, the disabled ones too, by id."""
    return tuple(persona(row) for row in Entity.objects.order_by("slug"))


def counted() -> tuple[int, int]:
    """How many entities there are, and how many of them are on."""
    found = Entity.objects.aggregate(n=Count("pk"), on=Count("pk", filter=Q(enabled=True)))
    return found["n"], found["on"]


def version() -> str:
    """Another text whenever a row of an entity has changed, however it was changed; asks the database how the rows lie, not what they hold."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), sum(hashtextextended(ctid::text || ':' || xmin::text, id)) FROM {Entity._meta.db_table}")  # noqa: S608 - our own name
        return ":".join(str(value) for value in cursor.fetchone())


def one(entity_id: int) -> Persona | None:
    """One entity by primary key."""
    row = Entity.objects.filter(pk=entity_id).first()
    return persona(row) if row else None


def limits(entity_id: int, now: datetime) -> Quota:
    """What an entity's limits leave it now: per rule what remains and when it is free again."""
    return measure(entity_id, now)


def busiest(since: datetime, count: int) -> Mapping[int, str]:
    """The entities that have posted most since then, by primary key their id for people."""
    rows = Permit.objects.filter(state=PermitState.SPENT, settled_at__gte=since).order_by().values_list("entity_id", "entity__slug")
    found = rows.annotate(posts=Count("pk")).order_by("-posts", "entity__slug")[:count]
    return {pk: slug for pk, slug, _ in found}


def quotas(entity_ids: Iterable[int], now: datetime) -> Mapping[int, Quota]:
    """`limits` of many entities, for lists: by primary key, with two questions to the database."""
    return measured(entity_ids, now)


def named(slugs: Iterable[str]) -> tuple[Persona, ...]:
    """The entities of these ids, by id; unknown ones are absent."""
    return tuple(persona(row) for row in Entity.objects.filter(slug__in=[*slugs]).order_by("slug"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of each entity, by id, and those of all together."""

    own: Mapping[str, tuple[Rule, ...]]
    common: tuple[Rule, ...]


def rules() -> Rules:
    """Every limit there is, in the order in which they are told."""
    own: dict[str, tuple[Rule, ...]] = {}
    rows = RateLimit.objects.order_by("entity_id", "feed_id", "kind", "every")
    for slug, kind, amount, every, feed_id, feed in rows.values_list("entity__slug", "kind", "amount", "every", "feed", "feed__name"):
        rule = Rule(kind=kind, amount=amount, every=every, whole=slug is None, feed_id=feed_id, feed=feed or "")
        own[slug or ""] = (*own.get(slug or "", ()), rule)
    return Rules(own=own, common=own.pop("", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A permit: reserved for a post, and then spent or given back at `settled`, if it was. `feed` is None where nobody knows it."""

    id: int
    slug: str
    feed: int | None
    reserved: datetime
    settled: datetime | None
    spent: bool


def posts(since: datetime, until: datetime) -> tuple[Post, ...]:
    """The permits that were reserved in this stretch of time, oldest first; those that were forgiven count nowhere and are absent."""
    rows = Permit.objects.filter(reserved_at__gte=since, reserved_at__lte=until).exclude(state=PermitState.FORGIVEN).order_by("id")
    columns = ("pk", "entity__slug", "feed", "reserved_at", "settled_at", "state")
    return tuple(
        Post(id=pk, slug=slug, feed=feed, reserved=reserved, settled=settled, spent=state == PermitState.SPENT)
        for pk, slug, feed, reserved, settled, state in rows.values_list(*columns)
    )
