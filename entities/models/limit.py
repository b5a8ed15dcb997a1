"""How often an entity, or all of them together, may post, anywhere or in one feed."""

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.dispatch import receiver
from simple_history.models import HistoricalRecords
from simple_history.signals import pre_create_historical_record

from entities.models.entity import Entity


class RateLimit(models.Model):
    """At most `amount` posts in any `every` minutes, hours or days; or at least `amount` seconds between two posts."""

    class Kind(models.TextChoices):
        GAP = "gap", "seconds between posts"
        MINUTE = "minute", "posts in any minute"
        HOUR = "hour", "posts in any hour"
        DAY = "day", "posts in any day"

    entity = models.ForeignKey(
        Entity, on_delete=models.CASCADE, null=True, blank=True, related_name="limits", help_text="Empty: all together."
    )
    feed = models.ForeignKey(
        "conversations.Feed",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        help_text="Empty: in all feeds together.",
    )
    kind = models.CharField(max_length=8, choices=Kind)
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    every = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="So many minutes, hours or days. A gap has none: 1."
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["entity", "feed", "kind", "every"]
        constraints = [
            models.CheckConstraint(name="limit_positive", condition=Q(amount__gt=0, every__gt=0)),
            models.CheckConstraint(
                name="limit_gap_has_no_window",
                condition=~Q(kind="gap") | Q(every=1),
                violation_error_message="A gap has no window: its “every” is 1, and its amount the seconds.",
            ),
            models.UniqueConstraint(
                name="limit_once_per_kind",
                fields=["entity", "feed", "kind", "every"],
                nulls_distinct=False,
                violation_error_message="There is such a limit already: change its amount.",
            ),
        ]

    def __str__(self) -> str:
        where = f" in {self.feed}" if self.feed_id else ""
        return f"{self.told()}{where}, {self.entity or 'all entities together'}"

    def told(self) -> str:
        """The limit in words, without whose it is and where."""
        if self.kind == self.Kind.GAP:
            return f"{self.amount} s between posts"
        posts = "1 post" if self.amount == 1 else f"{self.amount} posts"
        return f"{posts} in any {self.kind}" if self.every == 1 else f"{posts} in any {self.every} {self.kind}s"

    def document(self) -> dict[str, Any]:
        """The limit as a version of its entity keeps it."""
        return {"kind": self.kind, "amount": self.amount, "every": self.every, "feed": self.feed_id}


@receiver(pre_create_historical_record, sender=Entity.history.model)
def with_limits(instance: Entity, history_instance: Any, **_: Any) -> None:
    """A version of an entity keeps the limits of its moment."""
    history_instance.limits = [limit.document() for limit in RateLimit.objects.filter(entity=instance).order_by("kind", "every", "feed")]
