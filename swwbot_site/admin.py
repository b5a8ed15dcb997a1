"""The project's own pages in the admin: events, people, and the worker's tasks."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from swwbot_site import importing, keyring, telling  # noqa: F401 - importing them registers their pages
from swwbot_site.lib.adminkit import STATES, Record, column, pretty
from swwbot_site.lib.words import short
from swwbot_site.models import Event
from swwbot_site.retention import page  # noqa: F401 - as this does

admin.site.unregister([User, Group])


@admin.register(Event)
class EventAdmin(Record):
    """What happened, newest first."""

    empty = "What happens stands here, the newest first."
    list_display = ("at", "badge", "kind", "subject", "said")
    list_display_links = ("at", "said")
    list_filter = ("level", "kind")
    search_fields = ("=subject", "^kind", "text")
    sortable_by = ("at",)
    search_help_text = "subject, kind or words"
    fieldsets = ((None, {"fields": (("at", "level"), ("kind", "subject"), "text", "details")}),)
    readonly_fields = ("details",)

    @column("level", ordering="level", label=STATES)
    def badge(self, row: Event) -> str:
        return row.level

    @column("text")
    def said(self, row: Event) -> str:
        return short(row.text, 160)

    @column("detail")
    def details(self, row: Event) -> SafeString:
        return pretty(row.detail)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Who may look and change."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What several people may do."""


class TaskAdmin(Record):
    """The worker's own tables, which are only alarm clocks: to look at."""

    empty = "These tables belong to the worker (django-q2): its tasks only wake engines. An empty one is well."


def _seal(name: str, columns: tuple[str, ...]) -> None:
    model: Any = apps.get_model("django_q", name)
    if admin.site.is_registered(model):
        admin.site.unregister(model)
    admin.site.register(model, type(f"{name}Admin", (TaskAdmin,), {"list_display": columns, "ordering": ("-pk",)}))


_seal("Schedule", ("id", "name", "func", "schedule_type", "next_run", "cluster"))
_seal("Success", ("name", "func", "started", "stopped", "group"))
_seal("Failure", ("name", "func", "started", "stopped", "attempt_count"))
_seal("OrmQ", ("id", "key", "lock"))
