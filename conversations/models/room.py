"""Part of a feed with rules of its own: the messages of one domain."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from conversations.models.feed import Feed


class Room(models.Model):
    """What is set here holds instead of the feed's setting for messages of this domain."""

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="rooms")
    domain = models.CharField(max_length=200, help_text="The domain that its messages carry, for example saywhatwant.app.")
    entities = models.ManyToManyField("entities.Entity", blank=True, related_name="rooms", help_text="Who may speak here. None: everybody.")
    max_repliers = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty: the feed's.")
    max_bot_run = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: the feed's.")
    strategy = models.CharField(max_length=40, blank=True, help_text="Empty: the feed's.")
    silence_s = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1.0)],
        help_text="After so long without a message the next one is answered more readily. Empty: 600 s.",
    )

    class Meta:
        ordering = ["feed", "domain"]
        constraints = [
            models.UniqueConstraint(name="room_once_per_feed", fields=["feed", "domain"]),
            models.CheckConstraint(name="room_domain_not_empty", condition=~Q(domain="")),
        ]

    def __str__(self) -> str:
        return f"{self.domain} in {self.feed}"
