"""One request to a model: the durable queue is the rows of this table that are `queued`."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from cluster.logic.lifecycle import GENERATION, GenerationState
from cluster.models.model import LanguageModel
from cluster.models.placement import Placement
from cluster.models.server import Server
from swwbot_site.lib.leases import Leased


class Generation(Leased):
    """One chat completion, asked for once and answered once, on whichever server."""

    MOVES = GENERATION
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="generations")
    pin = models.ForeignKey(
        Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", help_text="Only this server may answer."
    )
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in GenerationState], default=GenerationState.QUEUED)
    priority = models.PositiveSmallIntegerField(default=50, help_text="0 is first, 99 last.")
    deadline = models.DateTimeField(null=True, blank=True, help_text="An answer that would begin later is worth nothing.")
    caller = models.CharField(max_length=100, help_text="Who asked, for example entity:philosopher.")
    request = models.JSONField(help_text="messages, sampling, max_tokens, stop: as sent.")
    request_hash = models.CharField(max_length=64, blank=True)
    home = models.IntegerField(
        null=True, blank=True, editable=False, help_text="The owner in whose process a client waits for it; it alone may ask."
    )

    queued_at = models.DateTimeField()
    share_at = models.DateTimeField(db_default=Now(), help_text="When its caller's fair share reaches it.")
    turn_at = models.DateTimeField(
        db_default=Now(), help_text="Whose turn it is: the fair share, later the less urgent. Fixed when it is queued."
    )
    leader = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="followers",
        help_text="An equal request that is asked for both.",
    )
    not_before = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    avoid = models.ForeignKey(
        Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", help_text="Failed there last: another server first."
    )
    tried = models.JSONField(default=list, blank=True, help_text="Every attempt: server, when, what went wrong.")
    decision = models.JSONField(default=dict, blank=True, help_text="Why it ran where it ran.")
    server = models.ForeignKey(Server, on_delete=models.SET_NULL, null=True, blank=True, related_name="generations")
    placement = models.ForeignKey(Placement, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    seated_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    first_token_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    text = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=30, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error = models.TextField(blank=True)
    cached = models.BooleanField(default=False, help_text="Answered from the response cache.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="generation_priority_0_to_99", condition=Q(priority__gte=0, priority__lte=99)),
            models.CheckConstraint(name="generation_state_known", condition=Q(state__in=[s.value for s in GenerationState])),
            models.CheckConstraint(
                name="generation_running_is_leased",
                condition=(Q(state="running") & Q(lease_until__isnull=False, lease_owner__isnull=False))
                | (~Q(state="running") & Q(lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="generation_ended_has_time",
                condition=Q(state__in=["queued", "running"], ended_at__isnull=True) | ~Q(state__in=["queued", "running"]),
            ),
        ]
        indexes = [
            models.Index(name="generation_queue", fields=["model", "turn_at", "id"], condition=Q(state="queued")),
            models.Index(name="generation_share", fields=["caller", "share_at"], condition=Q(state="queued")),
            models.Index(name="generation_queued_at", fields=["queued_at"]),
            models.Index(name="generation_follower", fields=["leader"], condition=Q(state="queued", leader__isnull=False)),
            models.Index(
                name="generation_leading", fields=["request_hash"], condition=Q(state__in=["queued", "running"], leader__isnull=True)
            ),
            models.Index(name="generation_running", fields=["lease_owner"], condition=Q(state="running")),
            models.Index(name="generation_cache", fields=["request_hash"], condition=Q(state="done")),
            models.Index(name="generation_ended", fields=["ended_at"]),
            models.Index(name="generation_caller", fields=["caller", "queued_at"]),
            models.Index(name="generation_home", fields=["home"], condition=Q(state="queued", home__isnull=False)),
        ]

    @staticmethod
    def ripe(now: datetime) -> Q:
        """What may be seated at this moment: queued, for itself, not resting after a failure, and not too late."""
        rested = Q(not_before__isnull=True) | Q(not_before__lte=now)
        timely = Q(deadline__isnull=True) | Q(deadline__gte=now)
        return rested & timely & Q(state=GenerationState.QUEUED, leader__isnull=True)

    def __str__(self) -> str:
        return f"generation {self.pk} ({self.state})"
