"""A model that entities ask for, under its canonical name."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q


class LanguageModel(models.Model):
    """One model, however its servers spell it."""

    class SizeSource(models.TextChoices):
        GUESS = "guess", "guessed from the name"
        LISTING = "listing", "the server's list"
        GUARDRAIL = "guardrail", "what a server said it needs"
        OPERATOR = "operator", "set by hand"

    key = models.CharField(max_length=300, unique=True, help_text="Canonical name, lower case, for example google/gemma-3-27b.")
    aliases = models.JSONField(default=list, blank=True, help_text="Other names that mean this model.")
    size_gb = models.FloatField("memory needed, GB", validators=[MinValueValidator(0.01)], help_text="Weights, context cache and engine.")
    size_source = models.CharField(
        max_length=12, choices=SizeSource, default=SizeSource.GUESS, help_text="A size set by hand is never learned over."
    )
    context_length = models.PositiveIntegerField(
        null=True, blank=True, help_text="Context to load it with, in tokens. Empty: the server's default. Context costs memory."
    )
    cache_ttl_s = models.FloatField(
        "response cache, s",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="How long an exactly equal request gets the stored answer. 0: never. Empty: as the policy says.",
    )
    successor = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version that takes its place: loaded beside it, and used from then on.",
    )
    successor_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Since when the successor is wanted.")
    replaced_at = models.DateTimeField(
        "replaced since", null=True, blank=True, editable=False, help_text="From then on its successor has answered in its place."
    )
    rate = models.FloatField("requests a second", default=0.0, editable=False, help_text="Decaying; what was asked lately counts most.")
    usual = models.FloatField(
        "usual requests a second", default=0.0, editable=False, help_text="At this time of the day, from the last days."
    )
    expected_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When somebody was last mentioned who speaks with it."
    )
    max_context_length = models.PositiveIntegerField(null=True, blank=True, editable=False)
    size_bytes = models.BigIntegerField(null=True, blank=True, editable=False, help_text="The largest file of it that a server lists.")
    params = models.CharField(
        "parameters", max_length=40, blank=True, editable=False, help_text='As a server says it, for example "26B-A4B".'
    )
    format = models.CharField(max_length=20, blank=True, editable=False)
    kind = models.CharField(max_length=12, default="llm", editable=False)

    class Meta:
        ordering = ["key"]
        verbose_name = "model"
        constraints = [
            models.CheckConstraint(name="model_size_positive", condition=Q(size_gb__gt=0)),
            models.CheckConstraint(name="model_key_not_empty", condition=~Q(key="")),
            models.CheckConstraint(name="model_succeeds_another", condition=Q(successor__isnull=True) | ~Q(successor=models.F("id"))),
        ]

    def __str__(self) -> str:
        return self.key

    def heir(self, server_id: int | None = None) -> "LanguageModel":
        """Who answers in its place: itself, or after a swap its successor; with `server_id`, only one that this server has."""
        model, passed = self, {self.pk}
        while model.replaced_at and model.successor and model.successor_id not in passed:
            if server_id is not None and not model.successor.offers.filter(server_id=server_id).exists():
                break
            model = model.successor
            passed.add(model.pk)
        return model
