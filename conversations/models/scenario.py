"""A golden conversation of an entity: what it must answer and where it must be silent."""

from django.db import models
from django.db.models import Q


class Scenario(models.Model):
    """Messages and what is expected of one entity. A required one must pass before a changed version of the entity is kept."""

    entity = models.ForeignKey("entities.Entity", on_delete=models.CASCADE, related_name="scenarios")
    name = models.CharField(max_length=100)
    required = models.BooleanField(default=False, help_text="The entity is only changed if this still passes.")
    document = models.JSONField(help_text="The messages and the expected decisions; see the documentation of scenarios.")
    ran_at = models.DateTimeField(null=True, blank=True, editable=False)
    passed = models.BooleanField(null=True, blank=True, editable=False)
    result = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ["entity", "name"]
        constraints = [
            models.UniqueConstraint(name="scenario_once_per_name", fields=["entity", "name"]),
            models.CheckConstraint(name="scenario_name_not_empty", condition=~Q(name="")),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.entity_id}"
