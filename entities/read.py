"""The door for reading entities: frozen values, no rows."""

from datetime import datetime

from entities.logic.persona import Persona
from entities.logic.quota import Quota
from entities.models import Entity
from entities.spend import measure

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
        system_prompt=row.system_prompt,
        user_prompt=row.user_prompt,
        prompt_format=row.prompt_format,
        system_role=row.system_role,
        messages_to_read=row.messages_to_read,
        add_newline_to_context=row.add_newline_to_context,
        add_entity_username=row.add_entity_username,
        sampling=sampling,
        max_tokens=row.max_tokens,
        stop=tuple(row.stop),
        filter_out=tuple(row.filter_out),
        trim_after=tuple(row.trim_after),
        trim_whitespace=row.trim_whitespace,
        response_chance=row.response_chance,
        weight=row.weight,
        priority=row.priority,
        responds_to_humans=row.responds_to_humans,
        responds_to_all_ai=row.responds_to_all_ai,
        responds_to_these_ai=tuple(row.responds_to_these_ai),
        max_age_s=row.max_age_s,
        when_limited=row.when_limited,
        hold=row.hold,
        cache_answers=row.cache_answers,
    )


def personas() -> tuple[Persona, ...]:
    """All entities, the disabled ones too, by id."""
    return tuple(persona(row) for row in Entity.objects.order_by("slug"))


def one(entity_id: int) -> Persona | None:
    """One entity by primary key."""
    row = Entity.objects.filter(pk=entity_id).first()
    return persona(row) if row else None


def limits(entity_id: int, now: datetime) -> Quota:
    """What an entity's limits leave it now: per rule what remains and when it is free again."""
    return measure(entity_id, now)
