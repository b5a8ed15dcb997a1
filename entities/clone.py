"""A copy of an entity under another id."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from entities import chronicle, objections
from entities.errors import NoVersion, Taken, Unsound
from entities.models import Entity, RateLimit
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake


@transaction.atomic
def clone(entity_id: int, slug: str, username: str, who: str) -> int:
    """Make a copy with everything the original has, limits included, switched off until a person switches it on. Returns its key.

    Raises NoVersion if there is no such entity, Taken if `slug` belongs to one, Unsound for an impossible id or name, and Refused if a
    plugin objects. Rooms that admit only named entities do not admit the copy.
    """
    row = Entity.objects.select_for_update(no_key=True).filter(pk=entity_id).first()
    if row is None:
        raise NoVersion(f"there is no entity with the primary key {entity_id}")
    limits = list(RateLimit.objects.filter(entity=row))
    original = row.slug
    row = Entity(**{field.attname: getattr(row, field.attname) for field in Entity._meta.concrete_fields if not field.primary_key})
    row.slug, row.username = slug.strip(), username.strip()
    row.enabled, row.enabled_at, row.disabled_reason = False, None, f"A copy of {original}: switch it on when it is ready."
    try:
        row.clean_fields(exclude=[field.name for field in Entity._meta.concrete_fields if field.name not in ("slug", "username")])
    except ValidationError as exc:
        raise Unsound(f"{original} cannot be copied: {'; '.join(exc.messages)}") from exc
    objections.heed(row)
    try:
        with transaction.atomic():
            chronicle.quietly(row)
    except IntegrityError as exc:
        raise Taken(f"the id {row.slug} belongs to another entity; choose a new one") from exc
    for limit in limits:
        RateLimit.objects.create(entity=row, feed_id=limit.feed_id, kind=limit.kind, amount=limit.amount, every=limit.every)
    chronicle.keep([row], who, f"a copy of {original}", new=[row.pk])
    say(
        "entity.cloned", f"{row.slug} was made as a copy of {original}; it is off", subject=f"entity:{row.slug}", who=who, original=original
    )
    wake(Channel.SETTINGS, Channel.LISTEN)
    return row.pk
