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
    max_context_length = models.PositiveIntegerField(null=True, blank=True, editable=False)
    format = models.CharField(max_length=20, blank=True, editable=False)
    kind = models.CharField(max_length=12, default="llm", editable=False)

    class Meta:
        ordering = ["key"]
        verbose_name = "model"
        constraints = [
            models.CheckConstraint(name="model_size_positive", condition=Q(size_gb__gt=0)),
            models.CheckConstraint(name="model_key_not_empty", condition=~Q(key="")),
        ]

    def __str__(self) -> str:
        return self.key
