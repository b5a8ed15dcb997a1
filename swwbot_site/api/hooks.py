"""Webhooks and their deliveries in `/api/v1/`. A secret is shown when it is made, and never again."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.forms import RowForm, Texts
from swwbot_site.lib.lists import Filter, Number
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who
from swwbot_site.models import Delivery, Webhook
from swwbot_site.webhooks import hooks, outbox


class WebhookForm(RowForm[Webhook]):
    """Where events are told. `kinds` are kinds of events, or their beginnings such as `reply.`; none: all."""

    kinds = Texts(required=False)

    class Meta:
        model = Webhook
        fields = hooks.WRITTEN
        extra_kwargs: dict[str, Any] = {"name": {"validators": []}}


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """Where events are told."""

    kinds = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = ("id", "name", "url", "kinds", "enabled", "created_at", "since", "cursor")
        read_only_fields: tuple[str, ...] = fields


class NewWebhookSerializer(WebhookSerializer):
    """A webhook with its secret, which is shown this once."""

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = fields


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One event on its way to one webhook; `status` and `answer` are the last attempt's."""

    webhook: serializers.SlugRelatedField[Webhook] = serializers.SlugRelatedField(slug_field="name", read_only=True)
    state = serializers.ChoiceField(choices=["waiting", "delivered", "failed"], read_only=True)

    class Meta:
        model = Delivery
        fields = ("id", "webhook", "event", "state", "attempts", "attempt_at", "status", "answer", "ended_at")
        read_only_fields = fields


class WebhookFilter(Filter):
    """Webhooks by name."""

    class Meta:
        model = Webhook
        fields = ("name", "enabled")


class DeliveryFilter(Filter):
    """Deliveries by webhook, event and state."""

    webhook = filters.CharFilter(field_name="webhook__name", label="A webhook's name.")
    event = Number(field_name="event_id", label="An event's number.")
    state = filters.ChoiceFilter(choices=[(state, state) for state in ("waiting", "delivered", "failed")])

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = ()


class WebhookView(Rows[Webhook]):
    """Where events are told, signed, at least once."""

    queryset = Webhook.objects.all()
    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    ordering = "name"
    ordering_fields = ("name", "id")
    forms = {"create": WebhookForm, "partial_update": WebhookForm}
    shapes = {"create": NewWebhookSerializer, "renew": NewWebhookSerializer}
    secretive = frozenset(shapes)
    scopes = dict.fromkeys(("list", "retrieve"), (Scope.ADMINISTER,))

    def create(self, request: Request) -> Response:
        """Have events told from now on. The answer holds the secret, this once."""
        pk, _ = hooks.make(self.said(), who(request))
        return Response(NewWebhookSerializer(Webhook.objects.get(pk=pk)).data, status=201)

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given. What happens while it is off is never told."""
        pk = self.pk()
        hooks.change(pk, self.said(), who(request))
        return self.shown(pk)

    def destroy(self, request: Request, **_: Any) -> Response:
        """Tell it nothing any more, and forget its deliveries."""
        first(hooks.remove(self.pk(), who(request)))
        return Response(status=204)

    @extend_schema(responses=NewWebhookSerializer)
    @action(detail=True, methods=["post"])
    def renew(self, request: Request, **_: Any) -> Response:
        """Give it another secret, which the answer holds this once; the old one signs nothing any more."""
        pk = self.pk()
        hooks.renew(pk, who(request))
        return Response(NewWebhookSerializer(Webhook.objects.get(pk=pk)).data)


class DeliveryView(Rows[Delivery]):
    """What was told to webhooks, or is still to be, the newest first. It goes with its event, after a month at most."""

    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    scopes = dict.fromkeys(("list", "retrieve"), (Scope.ADMINISTER,))

    @action(detail=True, methods=["post"])
    def resend(self, request: Request, **_: Any) -> Response:
        """Send it again; 409 if it has not ended."""
        pk = self.pk()
        first(outbox.resend([pk], who(request)))
        return self.shown(pk)
