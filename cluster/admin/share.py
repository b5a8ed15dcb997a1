"""Fair shares: who may have how much when all want more than there is."""

from django.contrib import admin

from cluster.models import Share
from swwbot_site.lib.adminkit import Waking


@admin.register(Share)
class ShareAdmin(Waking):
    """A weight counts for what its caller asks from then on."""

    list_display = ("caller", "weight", "charged_until")
    search_fields = ("caller",)
    ordering = ("caller",)
    readonly_fields = ("charged_until",)
    fields = ("caller", "weight", "charged_until")
