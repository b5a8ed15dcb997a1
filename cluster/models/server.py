"""A machine that runs LM Studio, as its owner describes it and as we last saw it."""

from collections.abc import Iterable
from typing import Any, Final

from django.core.validators import MinValueValidator, URLValidator
from django.db import models
from django.db.models import Q

from cluster.logic.lifecycle import SERVER, ServerState
from swwbot_site.lib.addresses import tidy

REACHED: Final = frozenset({"url", "token", "dialect"})
"""What decides whether a server can be spoken to."""


class Server(models.Model):
    """One LM Studio server. Its owner writes the first part, probes and requests write the second."""

    MOVES = SERVER

    class Dialect(models.TextChoices):
        AUTO = "auto", "find out"
        LMSTUDIO_V1 = "lmstudio-v1", "LM Studio, native REST v1"
        LMSTUDIO_V0 = "lmstudio-v0", "LM Studio, REST v0 with just-in-time loading"
        OPENAI = "openai", "any OpenAI-compatible server"
        DESIGN = "design", "the design document's endpoints"

    name = models.CharField(max_length=100, unique=True, help_text="How people call it.")
    url = models.CharField(
        max_length=500,
        unique=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Where it listens, for example http://10.0.0.102:1234, without a path.",
    )
    token = models.CharField(max_length=500, blank=True, help_text="Its API token, if it asks for one. Never shown again.")
    dialect = models.CharField(max_length=20, choices=Dialect, default=Dialect.AUTO, help_text="How to speak to it.")
    budget_gb = models.FloatField(
        "memory for models, GB",
        validators=[MinValueValidator(0.1)],
        help_text="What models may take. No server reports it: a Mac with 128 GB has about 96.",
    )
    slots = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Answers at once per loaded model. Empty: what the server reports, otherwise 1."
    )
    formats = models.JSONField(default=list, blank=True, help_text='Formats it can run, for example ["MLX", "GGUF"]. Empty: any.')
    preferred_models = models.JSONField(default=list, blank=True, help_text='Models it should get first. "*" is any model.')
    max_models = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How many models at once, besides the memory. Empty: no limit."
    )
    region = models.CharField(max_length=50, blank=True)
    weight = models.FloatField(
        default=1.0, validators=[MinValueValidator(0.01)], help_text="How much of the work it should get, against 1."
    )
    enabled = models.BooleanField(default=True)
    draining = models.BooleanField(default=False, help_text="It finishes what it has and gets nothing new.")

    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in ServerState], default=ServerState.UNKNOWN, editable=False)
    state_reason = models.TextField(blank=True, editable=False)
    state_since = models.DateTimeField(null=True, blank=True, editable=False)
    detected = models.CharField("detected dialect", max_length=20, blank=True, editable=False)
    version = models.CharField(max_length=100, blank=True, editable=False)
    jit = models.BooleanField("loads just in time", null=True, blank=True, editable=False)
    latency_ms = models.FloatField(null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField("failures in a row", default=0, editable=False)
    retry_at = models.DateTimeField("asked again at", null=True, blank=True, editable=False)
    seen_at = models.DateTimeField("last answered", null=True, blank=True, editable=False)
    listed_at = models.DateTimeField("models listed", null=True, blank=True, editable=False)
    probe_lease_owner = models.IntegerField(null=True, blank=True, editable=False)
    probe_lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="server_budget_positive", condition=Q(budget_gb__gt=0)),
            models.CheckConstraint(name="server_weight_positive", condition=Q(weight__gt=0)),
            models.CheckConstraint(name="server_slots_positive", condition=Q(slots__isnull=True) | Q(slots__gt=0)),
            models.CheckConstraint(name="server_state_known", condition=Q(state__in=[s.value for s in ServerState])),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save; who corrects how a server is reached has it looked at now, not when its pause ends."""
        self.clean()
        if self.pk and (update_fields is None or REACHED & set(update_fields)):
            self.retry_at = self.listed_at = None
            update_fields = update_fields and {*update_fields, "retry_at", "listed_at"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def clean(self) -> None:
        self.url = tidy(self.url, "/v1")

    @property
    def spoken(self) -> str:
        """The dialect to use: the configured one, otherwise the detected one, otherwise empty."""
        return self.detected if self.dialect == self.Dialect.AUTO else self.dialect
