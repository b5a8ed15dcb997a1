"""A machine that runs LM Studio, as its owner describes it and as we last saw it."""

from collections.abc import Iterable
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, URLValidator
from django.db import OperationalError, models, transaction
from django.db.models import Q

from cluster.logic.lifecycle import SERVER, GenerationState, ServerState
from cluster.models.policy import ClusterPolicy
from swwbot_site.lib import networks
from swwbot_site.lib.addresses import tidy

REACHED: Final = frozenset({"url", "token", "dialect"})
"""What decides whether a server can be spoken to."""

TRIES: Final = 5


class Servers(models.QuerySet["Server"]):
    """Servers that can be removed while engines work."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove them with all that hangs on them, while nobody plans and nothing new can be hung on them."""
        for _ in range(TRIES - 1):
            try:
                return self._removed()
            except OperationalError:  # an engine that stored many answers at once locked them in another order
                continue
        return self._removed()

    def _removed(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic():
            ids = list(self.order_by("pk").values_list("pk", flat=True))
            _lock(ClusterPolicy.objects.all())
            gone = self.model.objects.filter(pk__in=ids).order_by("pk")
            for server in gone:  # the order of locks of those who store answers
                _lock(server.generations.filter(state=GenerationState.RUNNING))
            for server in gone:
                _lock(server.placements.all())
            for server in gone:
                _lock(server.offers.all())
            _lock(gone)
            return super().delete()

    delete.queryset_only = True  # type: ignore[attr-defined]  # no `Server.objects.delete()`, as Django has it


def _lock(rows: models.QuerySet[Any]) -> None:
    list(rows.order_by("pk").select_for_update(of=("self",)).values_list("pk"))


class Server(models.Model):
    """One LM Studio server. Its owner writes the first part, probes and requests write the second."""

    MOVES = SERVER

    class Dialect(models.TextChoices):
        AUTO = "auto", "find out"
        LMSTUDIO_V1 = "lmstudio-v1", "LM Studio, native REST v1"
        LMSTUDIO_V0 = "lmstudio-v0", "LM Studio, REST v0 with just-in-time loading"
        OPENAI = "openai", "any OpenAI-compatible server"
        OLLAMA = "ollama", "Ollama"
        LLAMACPP = "llamacpp", "llama-server with one model"
        LLAMACPP_ROUTER = "llamacpp-router", "llama-server as a router"
        VLLM = "vllm", "vLLM"
        DESIGN = "design", "the design document's endpoints"

    name = models.CharField(max_length=100, unique=True, help_text="How people call it.")
    url = models.CharField(
        max_length=500,
        unique=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Where it listens, for example http://10.0.0.102:1234, or a cloud with its path, https://host/api. /v1 is added by itself.",
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
    region = models.CharField(
        max_length=50, blank=True, help_text="Where it stands. Servers of the policy's region come first, all others are the reserve."
    )
    weight = models.FloatField(
        default=1.0, validators=[MinValueValidator(0.01)], help_text="How much of the work it should get, against 1."
    )
    price_in = models.FloatField(
        "price, in", default=0.0, validators=[MinValueValidator(0)], help_text="For a million tokens of prompt, in any currency."
    )
    price_out = models.FloatField(
        "price, out", default=0.0, validators=[MinValueValidator(0)], help_text="For a million tokens of answer, in the same currency."
    )
    daily_budget = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="It gets no more work once a day's answers cost so much. Empty: no limit.",
    )
    pool = models.CharField(max_length=100, blank=True, editable=False, help_text="The pool manager that handed it out.")
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its pool manager took it back: it finishes what it has, then it is disabled."
    )
    enabled = models.BooleanField(default=True, help_text="Off: it gets nothing, and nobody looks at it.")
    draining = models.BooleanField(default=False, help_text="It finishes what it has and gets nothing new.")

    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in ServerState], default=ServerState.UNKNOWN, editable=False)
    state_reason = models.TextField(blank=True, editable=False)
    state_since = models.DateTimeField(null=True, blank=True, editable=False)
    detected = models.CharField("detected dialect", max_length=20, blank=True, editable=False)
    version = models.CharField(max_length=100, blank=True, editable=False)
    jit = models.BooleanField("loads just in time", null=True, blank=True, editable=False)
    latency_ms = models.FloatField(null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField("failures in a row", default=0, editable=False)
    returned_at = models.DateTimeField("back since", null=True, blank=True, editable=False)
    retry_at = models.DateTimeField("asked again at", null=True, blank=True, editable=False)
    seen_at = models.DateTimeField("last answered", null=True, blank=True, editable=False)
    listed_at = models.DateTimeField("models listed", null=True, blank=True, editable=False)
    probe_lease_owner = models.IntegerField(null=True, blank=True, editable=False)
    probe_lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = Servers.as_manager()

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
        self.url = tidy(self.url, "/v1")
        if self.pk and (update_fields is None or REACHED & set(update_fields)):
            self.retry_at = self.listed_at = None
            update_fields = update_fields and {*update_fields, "retry_at", "listed_at"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Remove it with all that hangs on it."""
        return Server.objects.filter(pk=self.pk).delete()

    def clean(self) -> None:
        """What a person enters must be an address that we may speak to. Raises ValidationError."""
        self.url = tidy(self.url, "/v1")
        try:
            networks.allowed(self.url)
        except networks.Refused as exc:
            raise ValidationError({"url": str(exc)}) from exc

    @property
    def spoken(self) -> str:
        """The dialect to use: the configured one, otherwise the detected one, otherwise empty."""
        return self.detected if self.dialect == self.Dialect.AUTO else self.dialect
