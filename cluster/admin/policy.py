"""The one row of cluster settings."""

from typing import Any

from django.contrib import admin
from django.db.models import Field
from django.forms import ChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from cluster.models import ClusterPolicy
from cluster.strategies import table
from swwbot_site.lib.adminkit import Waking, column


@admin.register(ClusterPolicy)
class PolicyAdmin(Waking):
    """Changes take effect in running engines at their next plan."""

    readonly_fields = ("busy", "rates_at", "usual_at")
    fieldsets = (
        ("Choosing", {"fields": (("strategy", "default_model", "region"), ("ageing_s", "overdue_s", "hedge_after_s"))}),
        ("Memory", {"fields": (("min_residency_s", "unload_delay_s"), ("keep_models_loaded", "preload"))}),
        ("Equal requests", {"fields": (("cache_ttl_s", "cache_entries"),)}),
        ("More servers, or one less", {"fields": (("scale_out_wait_s", "scale_in_idle_s"), "scale_webhook")}),
        (
            "Patience, seconds",
            {
                "fields": (
                    ("connect_timeout_s", "probe_timeout_s"),
                    ("first_token_timeout_s", "idle_timeout_s", "total_timeout_s"),
                    ("load_timeout_s", "load_poll_interval_s", "max_load_attempts"),
                )
            },
        ),
        ("Failures", {"fields": (("max_attempts", "return_s"), ("breaker_failures", "breaker_pause_s"))}),
        ("What we see", {"fields": (("busy", "rates_at", "usual_at"),)}),
        ("Looking after servers", {"fields": ("monitor", ("health_check_interval_s", "reconcile_interval_s"))}),
    )

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """A strategy is one of those there are, plugins' included."""
        if db_field.name == "strategy":
            return ChoiceField(choices=[(name, name) for name in table()], help_text=db_field.help_text, initial=db_field.get_default())
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @column("time spent loading")
    def busy(self, row: ClusterPolicy) -> str:
        return f"{row.disk_busy:.1%} of the servers' time lately"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row: go to it."""
        return HttpResponseRedirect(reverse("admin:cluster_clusterpolicy_change", args=[ClusterPolicy.current().pk]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
