"""One generation in flight on a placement. Requests in flight are counted from these rows, never kept in a counter."""

from django.db import models
from django.db.models import Q

from cluster.models.generation import Generation
from cluster.models.placement import Placement
from swwbot_site.lib.leases import Leased


class Seat(Leased):
    """Taken under the planner's lock, given back (deleted) when the generation leaves `running`.

    One without a generation is held by a process for the clients that wait there: it asks one request after the other on it.
    """

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="seats", null=True)
    hedge = models.BooleanField(default=False, help_text="The second one of a request that is asked twice.")
    placement = models.ForeignKey(Placement, on_delete=models.CASCADE, related_name="seats")
    taken_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(name="seat_once_per_generation", fields=["generation", "hedge"]),
            models.CheckConstraint(name="seat_is_leased", condition=Q(lease_owner__isnull=False, lease_until__isnull=False)),
        ]
        indexes = [models.Index(name="seat_owner", fields=["lease_owner"])]

    def __str__(self) -> str:
        whose = f"generation {self.generation_id}" if self.generation_id else f"process {self.lease_owner}"
        return f"seat of {whose} on placement {self.placement_id}"
