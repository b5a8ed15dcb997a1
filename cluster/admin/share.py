"""Fair shares: who may have how much when all want more than there is."""

from django.contrib import admin
from django.http import HttpRequest

from cluster.models import Share
from swwbot_site.lib.adminkit import Waking


@admin.register(Share)
class ShareAdmin(Waking):
    """A weight counts for what its caller asks from then on."""

    empty = "Everybody has the same share. Add a caller, such as entity:philosopher or api:notebook, to give it more or less."
    list_display = ("caller", "weight", "charged_until")
    search_fields = ("caller",)
    ordering = ("caller",)
    readonly_fields = ("charged_until",)
    fields = ("caller", "weight", "charged_until")

    def get_readonly_fields(self, request: HttpRequest, obj: Share | None = None) -> tuple[str, ...]:
        """Requests name their caller; only a new row may say which it is about."""
        return (*self.readonly_fields, "caller") if obj else self.readonly_fields
