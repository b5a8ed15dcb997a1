"""The cluster's part of `/api/v1/`, without its requests."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from cluster import alter, queue, swap, upkeep, warm
from cluster.api.forms import LoadForm, ModelForm, PolicyForm, ServerForm, ServerNameForm, SwapForm
from cluster.api.serializers import (
    GenerationSerializer,
    ModelSerializer,
    PlacementSerializer,
    PolicySerializer,
    ServerSerializer,
    WholeModelSerializer,
)
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from cluster.upkeep import NotLoadable, NotUnloadable
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import One, Rows
from swwbot_site.lib.lists import Filter
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who

OPERATE = (Scope.OPERATE,)


class ServerFilter(Filter):
    """Servers by name, state and switches."""

    class Meta:
        model = Server
        fields = ("name", "state", "enabled", "draining", "region")


class ModelFilter(Filter):
    """Models by canonical name and kind."""

    class Meta:
        model = LanguageModel
        fields = ("key", "kind", "format")


class PlacementFilter(Filter):
    """Placements by state, and by the names of server and model."""

    server = filters.CharFilter(field_name="server__name", label="A server's name.")
    model = filters.CharFilter(field_name="model__key", label="A model's canonical name.")

    class Meta:
        model = Placement
        fields = ("state", "pinned", "adopted")


class ServerView(Rows[Server]):
    """The servers. Their tokens are shown nowhere."""

    queryset = Server.objects.all()
    serializer_class = ServerSerializer
    filterset_class = ServerFilter
    ordering = "name"
    ordering_fields = ("name", "id")
    forms = {"create": ServerForm, "partial_update": ServerForm}
    scopes = dict.fromkeys(("enable", "disable", "drain", "undrain", "probe"), OPERATE)
    needs = dict.fromkeys(scopes, "cluster.operate_server")

    def create(self, request: Request) -> Response:
        """Add a server; an engine looks at it at once."""
        return self.shown(alter.add(self.said(), who(request)), 201)

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given."""
        pk = self.pk()
        alter.server(pk, self.said(), who(request))
        return self.shown(pk)

    def destroy(self, request: Request, **_: Any) -> Response:
        """Remove a server with what is known of it; what runs there is asked elsewhere. Drain it first if it should finish."""
        first(alter.remove(self.pk(), who(request)))
        return Response(status=204)

    @action(detail=True, methods=["post"])
    def enable(self, request: Request, **_: Any) -> Response:
        """Give it work; 409 if it is on."""
        return self._done(upkeep.switch([pk := self.pk()], who(request), on=True), pk)

    @action(detail=True, methods=["post"])
    def disable(self, request: Request, **_: Any) -> Response:
        """Give it nothing, and look at it no longer; 409 if it is off."""
        return self._done(upkeep.switch([pk := self.pk()], who(request), on=False), pk)

    @action(detail=True, methods=["post"])
    def drain(self, request: Request, **_: Any) -> Response:
        """Let it finish what it has; 409 if it drains already."""
        return self._done(upkeep.drain([pk := self.pk()], who(request), on=True), pk)

    @action(detail=True, methods=["post"])
    def undrain(self, request: Request, **_: Any) -> Response:
        """Give it work again; 409 if it does not drain."""
        return self._done(upkeep.drain([pk := self.pk()], who(request), on=False), pk)

    @action(detail=True, methods=["post"])
    def probe(self, request: Request, **_: Any) -> Response:
        """Have an engine look at it now, and make the rows agree with what it lists; 409 if it is off."""
        return self._done(upkeep.look([pk := self.pk()]), pk)

    def _done(self, count: int, pk: int) -> Response:
        first(count)
        return self.shown(pk)


class ModelView(Rows[LanguageModel]):
    """The models; one alone also says which servers have it on disk and what was learned there."""

    queryset = LanguageModel.objects.select_related("successor")
    serializer_class = ModelSerializer
    whole_class = WholeModelSerializer
    filterset_class = ModelFilter
    ordering = "key"
    ordering_fields = ("key", "id")
    forms = {"partial_update": ModelForm, "keep": ServerNameForm, "release": ServerNameForm, "swap": SwapForm}
    scopes = dict.fromkeys(("keep", "release", "swap", "undo"), OPERATE)
    needs = dict.fromkeys(("keep", "release"), "cluster.change_offer")
    refusals = {swap.SwapRefused: 409}

    def get_queryset(self) -> QuerySet[LanguageModel]:
        """The models, one alone with its offers."""
        rows = super().get_queryset()
        offers = Offer.objects.select_related("server").order_by("server__name")
        return rows if self.action == "list" else rows.prefetch_related(Prefetch("offers", offers))

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given."""
        pk = self.pk()
        alter.model(pk, self.said(), who(request))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def keep(self, request: Request, **_: Any) -> Response:
        """Have it loaded on a server and stay there; 409 if it is to stay already."""
        return self._kept(on=True)

    @action(detail=True, methods=["post"])
    def release(self, request: Request, **_: Any) -> Response:
        """Let it leave a server again; 409 if it may."""
        return self._kept(on=False)

    def _kept(self, *, on: bool) -> Response:
        pk, said = self.pk(), self.said()
        offer = warm.offer(LanguageModel.objects.get(pk=pk), said["server"])
        first(warm.keep([offer.pk], on=on))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def swap(self, request: Request, **_: Any) -> Response:
        """Have a newer version loaded beside it and take its place; 409 if that is under way, or cannot be."""
        pk, said = self.pk(), self.said()
        first(swap.swap(LanguageModel.objects.get(pk=pk), swap.named(said["successor"]), clock.now()))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def undo(self, request: Request, **_: Any) -> Response:
        """Let it answer for itself again; 409 if it has no successor."""
        pk = self.pk()
        first(swap.undo(LanguageModel.objects.get(pk=pk)))
        return self.shown(pk)


class PlacementView(Rows[Placement]):
    """What is, or was, in the servers' memory, the newest first."""

    queryset = Placement.objects.all()
    serializer_class = PlacementSerializer
    filterset_class = PlacementFilter
    forms = {"create": LoadForm}
    shapes = {"create": GenerationSerializer}
    scopes = dict.fromkeys(("create", "unload", "pin", "unpin"), OPERATE)
    needs = {"create": "cluster.operate_server"}
    refusals = {NotLoadable: 409, NotUnloadable: 409}

    @extend_schema(responses={202: GenerationSerializer})
    def create(self, request: Request) -> Response:
        """Have a model loaded on a server. Shows the request that waits for it: watch it, or call it off. 409 if it cannot be loaded there."""
        said = self.said()
        pk = upkeep.load(warm.offer(queue.known(said["model"]), said["server"]).pk, who(request))
        rows = Generation.objects.select_related("model", "server", "pin")
        return Response(GenerationSerializer(rows.get(pk=pk)).data, status=202)

    @action(detail=True, methods=["post"])
    def unload(self, request: Request, **_: Any) -> Response:
        """Tell it to leave as soon as it is idle and nobody waits for its model; 409 if it is not loaded, or has to stay."""
        pk = self.pk()
        upkeep.unload(pk, who(request))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def pin(self, request: Request, **_: Any) -> Response:
        """Never evict it; 409 if that is so already, or it is not in memory."""
        pk = self.pk()
        first(upkeep.pin(pk, who(request), on=True))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def unpin(self, request: Request, **_: Any) -> Response:
        """Let it be evicted again; 409 if that is so already, or it is not in memory."""
        pk = self.pk()
        first(upkeep.pin(pk, who(request), on=False))
        return self.shown(pk)


@extend_schema_view(list=extend_schema(operation_id="policy_retrieve"))
class PolicyView(One):
    """The cluster's settings."""

    serializer_class = PolicySerializer
    queryset = ClusterPolicy.objects.all()
    forms = {"change": PolicyForm}

    def get_object(self) -> ClusterPolicy:
        """The one row, or the defaults where nobody has made it yet: looking writes nothing."""
        return ClusterPolicy.objects.first() or ClusterPolicy()

    @extend_schema(operation_id="policy_change")
    def change(self, request: Request) -> Response:
        """Change what is given; running engines obey at their next plan."""
        alter.policy(self.said(), who(request))
        return self.shown()
