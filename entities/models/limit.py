"""How often an entity, or all of them together, may post."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from entities.models.entity import Entity


class RateLimit(models.Model):
    """At most `amount` posts in any minute, hour or day; or at least `amount` seconds between two posts."""

    class Kind(models.TextChoices):
        GAP = "gap", "seconds between posts"
        MINUTE = "minute", "posts in any minute"
        HOUR = "hour", "posts in any hour"
        DAY = "day", "posts in any day"

    entity = models.ForeignKey(
        Entity, on_delete=models.CASCADE, null=True, blank=True, related_name="limits", help_text="Empty: all together."
    )
    kind = models.CharField(max_length=8, choices=Kind)
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["entity", "kind"]
        constraints = [
            models.CheckConstraint(name="limit_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(name="limit_once_per_kind", fields=["entity", "kind"], nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.get_kind_display()} of {self.entity or 'all entities together'}"
