"""The door for reading entities: frozen values, no rows."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import connection

from entities.logic.persona import Persona
from entities.logic.quota import Quota
from entities.models import Entity
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


def quotas(entity_ids: Iterable[int], now: datetime) -> Mapping[int, Quota]:
    """`limits` of many entities, for lists: by primary key, with two questions to the database."""
    return measured(entity_ids, now)
