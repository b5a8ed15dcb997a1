"""How much of the cluster a caller may have when all want more than there is."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q


class Share(models.Model):
    """One caller (an entity, an API key): its weight, and the loads on its account. Made at its first request."""

    caller = models.CharField(max_length=100, unique=True, help_text="As requests name it, for example entity:philosopher.")
    weight = models.FloatField(default=1.0, validators=[MinValueValidator(0.01)], help_text="Its part of the cluster, against 1.")
    charged_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Loads for it have used up its share up to here; its next request queues behind."
    )

    class Meta:
        ordering = ["caller"]
        constraints = [models.CheckConstraint(name="share_weight_positive", condition=Q(weight__gt=0))]

    def __str__(self) -> str:
        return f"{self.caller}: {self.weight:g}"
