"""The conversation's part of `/api/v1/` where it comes from: feeds, messages, engines."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import plug
from conversations.api.forms import FeedForm, NewFeedForm
from conversations.api.serializers import (
    EngineSerializer,
    FeedSerializer,
    MessageSerializer,
    WholeMessageSerializer,
)
from conversations.logic.lifecycle import Debt
from conversations.models import Engine, Feed, Message
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.lists import Filter, Flag, Number
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who


class FeedFilter(Filter):
    """Feeds by name and switches."""

    class Meta:
        model = Feed
        fields = ("name", "enabled", "dry_run")


class MessageFilter(Filter):
    """Messages by where they came from and what became of them."""

    feed = filters.CharFilter(field_name="feed__name", label="A feed's name.")
    debt = filters.ChoiceFilter(field_name="state", choices=[(one.value, one.value) for one in Debt])
    after = Number(field_name="timestamp", lookup_expr="gte", label="Not earlier than, the feed's time in ms since 1970.")
    before = Number(field_name="timestamp", lookup_expr="lt", label="Earlier than, the feed's time in ms since 1970.")
    decided = Flag(field_name="decided_at", method="by_decision", label="Whether it was decided who answers.")

    class Meta:
        model = Message
        fields = ("kind", "own", "username", "remote_id")

    def by_decision(self, rows: QuerySet[Message], name: str, value: bool) -> QuerySet[Message]:
        """The decided or the new ones."""
        return rows.filter(**{f"{name}__isnull": not value})


class EngineFilter(Filter):
    """Engines by machine and queue."""

    queue = filters.CharFilter(field_name="cluster", label="A django-q queue.")
    running = Flag(field_name="ended_at", method="by_end", label="Whether its row says that it runs.")

    class Meta:
        model = Engine
        fields = ("host",)

    def by_end(self, rows: QuerySet[Engine], name: str, value: bool) -> QuerySet[Engine]:
        """Those that run or those that ended."""
        return rows.filter(**{f"{name}__isnull": value})


class FeedView(Rows[Feed]):
    """The feeds."""

    queryset = Feed.objects.all()
    serializer_class = FeedSerializer
    filterset_class = FeedFilter
    ordering = "name"
    ordering_fields = ("name", "id")
    forms = {"create": NewFeedForm, "partial_update": FeedForm}
    scopes = dict.fromkeys(("enable", "disable"), (Scope.OPERATE,))

    def create(self, request: Request) -> Response:
        """Add a message backend; an engine reads it at once."""
        return self.shown(plug.add(self.said(), who(request)), 201)

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given."""
        pk = self.pk()
        plug.change(pk, self.said(), who(request))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def enable(self, request: Request, **_: Any) -> Response:
        """Read it and post to it; 409 if it is on."""
        pk = self.pk()
        first(plug.switch(pk, who(request), on=True))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def disable(self, request: Request, **_: Any) -> Response:
        """Leave it alone; 409 if it is off."""
        pk = self.pk()
        first(plug.switch(pk, who(request), on=False))
        return self.shown(pk)


class MessageView(Rows[Message]):
    """The chat as the feeds said it, the newest first; one alone also shows who was considered and the numbers of its replies."""

    queryset = Message.objects.all()
    serializer_class = MessageSerializer
    whole_class = WholeMessageSerializer
    filterset_class = MessageFilter


class EngineView(Rows[Engine]):
    """The engines that run or ran, the newest first."""

    queryset = Engine.objects.all()
    serializer_class = EngineSerializer
    filterset_class = EngineFilter
