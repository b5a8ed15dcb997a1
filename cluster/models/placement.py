"""A model in a server's memory, or on its way in or out."""

from django.db import models
from django.db.models import Q

from cluster.logic.lifecycle import HELD, PLACEMENT, PlacementState
from cluster.models.model import LanguageModel
from cluster.models.server import Server
from swwbot_site.lib.leases import Leased


class Placement(Leased):
    """One instance of a model on a server. It holds `gb` from the moment its load is decided until the server's list shows it gone."""

    MOVES = PLACEMENT
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="placements")
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="placements")
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in PlacementState], default=PlacementState.LOADING)
    instance_id = models.CharField(max_length=300, blank=True, help_text="The server's name for it, for example google/gemma-3-27b:2.")
    gb = models.FloatField("memory held, GB")
    slots = models.PositiveSmallIntegerField(default=1, help_text="Answers at once.")
    context_length = models.PositiveIntegerField(null=True, blank=True)
    pinned = models.BooleanField(default=False, help_text="Never evicted.")
    adopted = models.BooleanField(default=False, help_text="Somebody else loaded it.")
    reason = models.TextField(blank=True, help_text="Why it was loaded, or how it ended.")
    scores = models.JSONField(
        default=dict,
        blank=True,
        help_text="What its load was worth: requests served sooner (gain) and later (cost), and what the gain had to exceed (bar).",
    )
    departure = models.JSONField(default=dict, blank=True, help_text="Why it was told to leave, and for which model.")
    caused_by = models.CharField(max_length=100, blank=True, help_text="Whose request it was loaded for; the load is on their account.")
    preloaded = models.BooleanField(default=False, help_text="Loaded before anybody asked.")
    dismissed = models.BooleanField(
        default=False, help_text="Somebody told it to leave: it goes once it is idle and nobody waits for its model."
    )
    served = models.BooleanField(default=False, help_text="It has answered since it was loaded.")
    created_at = models.DateTimeField()
    load_deadline = models.DateTimeField(null=True, blank=True)
    loaded_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField("last used", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="When its server lets it go by itself if nobody uses it until then.")
    failures = models.PositiveSmallIntegerField("failures in a row", default=0)
    rest_until = models.DateTimeField(
        null=True, blank=True, help_text="It failed too often: nothing is asked of it before, then one request."
    )

    class Meta:
        ordering = ["server", "model", "id"]
        constraints = [
            models.CheckConstraint(name="placement_gb_not_negative", condition=Q(gb__gte=0)),
            models.CheckConstraint(name="placement_slots_positive", condition=Q(slots__gt=0)),
            models.CheckConstraint(name="placement_state_known", condition=Q(state__in=[s.value for s in PlacementState])),
            models.CheckConstraint(name="placement_loading_is_leased", condition=~Q(state="loading") | Q(lease_until__isnull=False)),
            models.CheckConstraint(name="placement_loaded_has_instance", condition=~Q(state="loaded") | ~Q(instance_id="")),
            models.UniqueConstraint(name="placement_one_load_per_server", fields=["server"], condition=Q(state="loading")),
            models.UniqueConstraint(
                name="placement_once_per_instance", fields=["server", "instance_id"], condition=Q(state__in=["loaded", "unloading"])
            ),
        ]
        indexes = [
            models.Index(name="placement_held", fields=["server", "model"], condition=Q(state__in=[s.value for s in HELD])),
            models.Index(name="placement_preloaded", fields=["created_at"], condition=Q(preloaded=True)),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id or self.model} on {self.server} ({self.state})"
