"""The one row of cluster settings. Changing it takes effect in running engines at their next plan."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.db.models import Q


class ClusterPolicy(models.Model):
    """How the cluster behaves. Times are in seconds."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    strategy = models.CharField(max_length=40, default="expected-time", help_text="How the server of an answer, or of a load, is chosen.")
    region = models.CharField(
        max_length=50, blank=True, help_text="Servers of this region come first; all others are the reserve. Empty: all are equal."
    )
    ageing_s = models.FloatField(
        default=3.0, help_text="What one step of priority weighs against waiting: a request of priority 60 yields for 30 s to one of 50."
    )
    overdue_s = models.FloatField(
        default=300.0,
        help_text="A request that waits so long past its turn gets its model loaded, even if busy models must run empty for it.",
    )
    connect_timeout_s = models.FloatField(default=3.0, help_text="Until a server must have taken the connection.")
    probe_timeout_s = models.FloatField(default=5.0, help_text="For a whole look at a server.")
    load_timeout_s = models.FloatField(default=600.0, help_text="Until a model must be loaded.")
    first_token_timeout_s = models.FloatField(default=120.0, help_text="Until the first token; queue and prompt come before it.")
    idle_timeout_s = models.FloatField(default=60.0, help_text="Between two tokens (the document's requestTimeout).")
    total_timeout_s = models.FloatField(default=600.0, help_text="For a whole answer.")
    max_attempts = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Tries of one request, the first included (maxRetries + 1).",
    )
    min_residency_s = models.FloatField(
        default=2.0, help_text="How long a model stays after its load before it may be evicted for another."
    )
    unload_delay_s = models.FloatField(
        default=300.0,
        help_text="A model unused for so long is evicted before all others, and unloaded if models are not kept (modelUnloadDelay).",
    )
    keep_models_loaded = models.BooleanField(
        default=True, help_text="Off: models unused for the unload delay are unloaded even without need."
    )
    preload = models.BooleanField(default=True, help_text="Load what is likely to be asked for into room that nobody needs.")
    hedge_after_s = models.FloatField(
        default=0.0, help_text="Ask a second warm copy when the first has not begun to answer after so long. 0: never."
    )
    return_s = models.FloatField(default=30.0, help_text="A server that comes back gets its full share again after so long.")
    monitor = models.BooleanField(
        "health monitor", default=False, help_text="On: every server is probed every health check interval. Off: requests show health."
    )
    health_check_interval_s = models.FloatField(default=10.0, help_text="Between two looks of the health monitor at a server.")
    load_poll_interval_s = models.FloatField(default=5.0, help_text="Between two looks at a load that outlived its request (pollInterval).")
    max_load_attempts = models.PositiveSmallIntegerField(
        default=60, help_text="Such looks before the load counts as failed (maxLoadAttempts)."
    )
    reconcile_interval_s = models.FloatField(default=30.0, help_text="Between two comparisons of rows and servers.")
    breaker_failures = models.PositiveSmallIntegerField(default=3, help_text="Failures in a row that take a server out.")
    breaker_pause_s = models.FloatField(default=5.0, help_text="First pause of a server that is out; doubles up to a minute.")
    cache_ttl_s = models.FloatField(default=300.0, help_text="How long an exactly equal request gets the stored answer. 0: never.")
    max_waiting = models.PositiveIntegerField(
        default=1000,
        help_text="So many requests of other programs may wait for a seat in all; what comes then is told to come back later (429).",
    )
    cache_entries = models.PositiveIntegerField(default=1000, help_text="So many stored answers a model, at most; the newest are kept.")
    scale_out_wait_s = models.FloatField(
        default=60.0, help_text="When requests would wait so long although every server is busy, more servers are called for."
    )
    scale_in_idle_s = models.FloatField(default=1800.0, help_text="A server that nobody needed for so long may be taken away.")
    scale_webhook = models.CharField(
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Where calls for more or fewer servers are posted. Empty: nowhere.",
    )
    scaled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When an engine last looked whether the servers are enough."
    )
    pooled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When an engine last asked the pools for their servers."
    )
    rates_since = models.DateTimeField(null=True, blank=True, editable=False)
    disk_busy = models.FloatField(
        default=0.0, editable=False, help_text="The part of their time, 0 … 1, that the servers spent loading lately."
    )
    rates_at = models.DateTimeField(null=True, blank=True, editable=False)
    usual_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When what is usual at this time of the day was last counted."
    )
    default_model = models.CharField(max_length=300, blank=True, help_text="For entities that name none.")

    class Meta:
        verbose_name = "cluster policy"
        verbose_name_plural = "cluster policy"
        constraints = [
            models.CheckConstraint(name="policy_is_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="policy_times_positive",
                condition=Q(
                    connect_timeout_s__gt=0,
                    probe_timeout_s__gt=0,
                    load_timeout_s__gt=0,
                    first_token_timeout_s__gt=0,
                    idle_timeout_s__gt=0,
                    total_timeout_s__gt=0,
                    min_residency_s__gte=0,
                    unload_delay_s__gte=0,
                    health_check_interval_s__gt=0,
                    load_poll_interval_s__gt=0,
                    reconcile_interval_s__gt=0,
                    breaker_pause_s__gt=0,
                    cache_ttl_s__gte=0,
                    ageing_s__gte=0,
                    overdue_s__gt=0,
                    hedge_after_s__gte=0,
                    return_s__gte=0,
                    scale_out_wait_s__gt=0,
                    scale_in_idle_s__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="policy_counts_positive", condition=Q(max_attempts__gt=0, max_load_attempts__gt=0, breaker_failures__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return "cluster policy"

    @classmethod
    def current(cls) -> "ClusterPolicy":
        """The one row; made with the defaults at the first look."""
        return cls._read("SELECT * FROM cluster_clusterpolicy WHERE id = 1")

    @classmethod
    def locked(cls) -> "ClusterPolicy":
        """The one row, locked until the running transaction ends: the planner's lock."""
        return cls._read("SELECT * FROM cluster_clusterpolicy WHERE id = 1 FOR NO KEY UPDATE")

    @classmethod
    def _read(cls, statement: str) -> "ClusterPolicy":
        """The row that a statement finds; made first if there is none. Asked for so often that Django should not write it each time."""
        found = next(iter(cls.objects.raw(statement)), None)
        if found is None:
            cls.objects.get_or_create(id=1)
            found = next(iter(cls.objects.raw(statement)))
        return found

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ValidationError("The cluster policy cannot be deleted; change it instead.")
