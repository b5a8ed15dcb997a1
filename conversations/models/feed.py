"""A message backend: where the chat is read and answers are posted."""

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, URLValidator
from django.db import models
from django.db.models import Q

from swwbot_site.lib import networks
from swwbot_site.lib.addresses import tidy
from swwbot_site.lib.leases import Leased


def worker_name() -> str:
    """A name for the feed's queue that no other installation has."""
    return f"swwbot-{secrets.token_hex(6)}"


class Feed(Leased):
    """One message backend. Its lease is the right to poll it: one engine at a time."""

    class Generation(models.TextChoices):
        AUTO = "auto", "find out"
        KV = "kv", "KV (September)"
        KV_PATCH = "kv-patch", "KV with PATCH (October)"
        KV_QUEUE = "kv-queue", "KV with its queue (end of October)"
        DO = "do", "Durable Object with claim-next (newest)"

    class Priority(models.TextChoices):
        LOW_FIRST = "low-first", "0 is most urgent"
        HIGH_FIRST = "high-first", "99 is most urgent"

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(
        max_length=500,
        unique=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="The API's base, for example https://…/api",
    )
    generation = models.CharField(max_length=10, choices=Generation, default=Generation.AUTO)
    priority_direction = models.CharField(
        max_length=10, choices=Priority, default=Priority.LOW_FIRST, help_text="How its messages count urgency."
    )
    enabled = models.BooleanField(default=True)
    dry_run = models.BooleanField(default=False, help_text="Decide and generate, but never post.")
    domain = models.CharField(max_length=200, default="saywhatwant.app", help_text="The domain that posts carry.")
    poll_interval_s = models.FloatField(default=5.0, validators=[MinValueValidator(0.05)])
    overlap_s = models.FloatField(default=60.0, help_text="How far each poll looks back behind the newest message, for late and lost ones.")
    post_interval_s = models.FloatField(default=1.0, help_text="Least time between two posts to a KV backend. The newest needs none.")
    origin = models.CharField(
        max_length=200,
        blank=True,
        help_text="Sent as Origin with posts: the September backend exempts https://ai.saywhatwant.app from its limit.",
    )
    exempt = models.BooleanField(
        default=True, help_text="Our posts do not count against its limit of 10. Off: after 10 posts we are silent for 61 s."
    )
    lost_after_s = models.FloatField(
        default=65.0,
        validators=[MinValueValidator(0.1)],
        help_text="A post that does not show for so long is lost, and posted again. A KV backend may need a minute to show it.",
    )
    max_text = models.PositiveIntegerField(default=240, help_text="Longest post in characters.")
    max_bot_run = models.PositiveIntegerField(
        default=6, help_text="After so many bot messages without a human one, bots are not answered any more."
    )
    max_repliers = models.PositiveSmallIntegerField(default=3, help_text="At most so many entities answer one message by chance.")
    strategy = models.CharField(
        max_length=40,
        default="natural",
        help_text="How those who answer by chance are chosen: natural, random, weighted, round-robin, least-recent.",
    )
    bot_decay = models.FloatField(
        default=0.7, help_text="0 … 1: each bot message since the last human one lowers the chance of an answer to a bot by this factor."
    )
    window_gap_s = models.FloatField(default=3600.0, help_text="After a silence of so long another conversation begins.")

    worker = models.CharField(
        max_length=40, default=worker_name, editable=False, help_text="Our name in the feed's own queue; the same for all our engines."
    )
    detected = models.CharField("detected generation", max_length=10, blank=True, editable=False)
    cursor = models.BigIntegerField(null=True, blank=True, editable=False, help_text="Newest timestamp seen, ms.")
    forgotten = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text="Messages up to this time, ms, are not all kept: none of them is ever new again."
    )
    poll_at = models.DateTimeField("next poll", null=True, blank=True, editable=False)
    polled_at = models.DateTimeField("last poll", null=True, blank=True, editable=False)
    post_at = models.DateTimeField("next post not before", null=True, blank=True, editable=False)
    claim_at = models.DateTimeField("next look at its queue", null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField("failures in a row", default=0, editable=False)
    error = models.TextField("last error", blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="feed_interval_positive", condition=Q(poll_interval_s__gt=0)),
            models.CheckConstraint(name="feed_overlap_not_negative", condition=Q(overlap_s__gte=0, post_interval_s__gte=0)),
            models.CheckConstraint(name="feed_text_length_positive", condition=Q(max_text__gt=0)),
            models.CheckConstraint(name="feed_decay_0_to_1", condition=Q(bot_decay__gte=0, bot_decay__lte=1)),
            models.CheckConstraint(name="feed_window_gap_positive", condition=Q(window_gap_s__gt=0)),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, the address in its one spelling."""
        self.url = tidy(self.url, "/comments")
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """What a person enters must be an address that we may speak to, and an origin that a header can carry. Raises ValidationError."""
        if not (self.origin.isascii() and self.origin.isprintable()):
            raise ValidationError({"origin": "Plain characters only: it is sent as a header."})
        self.url = tidy(self.url, "/comments")
        try:
            networks.allowed(self.url)
        except networks.Refused as exc:
            raise ValidationError({"url": str(exc)}) from exc

    @property
    def spoken(self) -> str:
        """The generation to speak: the configured one, otherwise the detected one, otherwise empty."""
        return self.detected if self.generation == self.Generation.AUTO else self.generation
