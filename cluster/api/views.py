"""The cluster's part of `/api/v1/`."""

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view

from cluster.api.serializers import (
    GenerationSerializer,
    ModelSerializer,
    PlacementSerializer,
    PolicySerializer,
    ServerSerializer,
    WholeGenerationSerializer,
    WholeModelSerializer,
)
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from swwbot_site.lib.apikit import Filter, One, Rows


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


class GenerationFilter(Filter):
    """Generations by state and caller, and by the names of server and model."""

    server = filters.CharFilter(field_name="server__name", label="A server's name.")
    model = filters.CharFilter(field_name="model__key", label="A model's canonical name.")

    class Meta:
        model = Generation
        fields = ("state", "caller", "error_code", "cached")


class ServerView(Rows[Server]):
    """The servers. Their tokens are shown nowhere."""

    queryset = Server.objects.all()
    serializer_class = ServerSerializer
    filterset_class = ServerFilter
    ordering = "name"
    ordering_fields = ("name", "id")


class ModelView(Rows[LanguageModel]):
    """The models; one alone also says which servers have it on disk and what was learned there."""

    queryset = LanguageModel.objects.select_related("successor")
    serializer_class = ModelSerializer
    whole_class = WholeModelSerializer
    filterset_class = ModelFilter
    ordering = "key"
    ordering_fields = ("key", "id")

    def get_queryset(self) -> QuerySet[LanguageModel]:
        """The models, one alone with its offers."""
        rows = super().get_queryset()
        offers = Offer.objects.select_related("server").order_by("server__name")
        return rows.prefetch_related(Prefetch("offers", offers)) if self.action == "retrieve" else rows


class PlacementView(Rows[Placement]):
    """What is, or was, in the servers' memory, the newest first."""

    queryset = Placement.objects.all()
    serializer_class = PlacementSerializer
    filterset_class = PlacementFilter


class GenerationView(Rows[Generation]):
    """Requests to models, the newest first; one alone also shows what was sent and why it ran where it ran."""

    queryset = Generation.objects.all()
    serializer_class = GenerationSerializer
    whole_class = WholeGenerationSerializer
    filterset_class = GenerationFilter


@extend_schema_view(list=extend_schema(operation_id="policy_retrieve"))
class PolicyView(One):
    """The cluster's settings."""

    serializer_class = PolicySerializer

    def get_object(self) -> ClusterPolicy:
        """The one row, or the defaults where nobody has made it yet: looking writes nothing."""
        return ClusterPolicy.objects.first() or ClusterPolicy()
