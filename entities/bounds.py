"""The rate limits of one entity, or of all together, as documents and back: kind, amount, every, and the feed's key or none.

Each change leaves its row in the limits' own history too. Run inside one transaction of the caller, its entity locked.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from entities.models import Entity, RateLimit

Key = tuple[str, int, int | None]
"""Kind, every, feed: what tells two limits of one entity apart."""


def key(limit: Mapping[str, Any]) -> Key:
    """What tells a limit apart."""
    return str(limit["kind"]), int(limit["every"]), limit["feed"]


def feeds() -> dict[int, str]:
    """The feeds that limits may name: key → name."""
    model: Any = RateLimit._meta.get_field("feed").related_model
    return dict(model._default_manager.values_list("pk", "name"))


def bring(entity: Entity | None, held: Iterable[RateLimit], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Make the limits that an entity has those that are wanted. Returns whether anything changed."""
    left = {key(limit.document()): limit for limit in held}
    changed = False
    for each in wanted:
        limit = left.pop(key(each), None)
        if limit is None:
            RateLimit.objects.create(entity=entity, kind=each["kind"], amount=each["amount"], every=each["every"], feed_id=each["feed"])
        elif limit.amount != each["amount"]:
            limit.amount = each["amount"]
            limit.save(update_fields=["amount"])
        else:
            continue
        changed = True
    for limit in left.values():
        limit.delete()
    return changed or bool(left)
