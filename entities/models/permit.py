"""One post, reserved or spent: the ledger that limits are counted from."""

from django.db import models
from django.db.models import Q

from entities.logic.lifecycle import PERMIT, PermitState
from entities.models.entity import Entity


class Permit(models.Model):
    """Reserved before generating, spent when posted, refunded when dropped. A reserved one counts as if it were posted now."""

    MOVES = PERMIT

    entity = models.ForeignKey(Entity, on_delete=models.CASCADE, related_name="permits")
    feed = models.ForeignKey("conversations.Feed", on_delete=models.SET_NULL, null=True, blank=True, related_name="permits")
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in PermitState], default=PermitState.RESERVED)
    reserved_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="permit_state_known", condition=Q(state__in=[s.value for s in PermitState])),
            models.CheckConstraint(
                name="permit_settled_has_time",
                condition=Q(state="reserved", settled_at__isnull=True) | (~Q(state="reserved") & Q(settled_at__isnull=False)),
            ),
        ]
        indexes = [
            models.Index(name="permit_reserved", fields=["entity"], condition=Q(state="reserved")),
            models.Index(name="permit_spent", fields=["entity", "settled_at"], condition=Q(state="spent")),
            models.Index(name="permit_spent_all", fields=["settled_at"], condition=Q(state="spent")),
            models.Index(name="permit_spent_feed", fields=["feed", "settled_at"], condition=Q(state="spent")),
        ]

    def __str__(self) -> str:
        return f"permit {self.pk} of {self.entity_id} ({self.state})"
