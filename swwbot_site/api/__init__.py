"""The REST API's addresses: `/api/v1/` with everything, `/api/schema/` its OpenAPI document, `/api/docs/` the same for people."""

from django.contrib.admin.views.decorators import staff_member_required
from django.urls import include, path
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cluster.api.generations import GenerationView
from cluster.api.views import ModelView, PlacementView, PolicyView, ServerView
from conversations.api.deeds import EnsembleView, PostingView, ReplyView, TalkView
from conversations.api.views import EngineView, FeedView, MessageView
from entities.api.limits import LimitView
from entities.api.views import EntityView
from swwbot_site.api import access  # noqa: F401 - importing it registers it
from swwbot_site.api.configuration import ConfigurationView
from swwbot_site.api.happenings import EventView
from swwbot_site.api.hooks import DeliveryView, WebhookView
from swwbot_site.api.keeping import RetentionView
from swwbot_site.api.status import StatusView
from swwbot_site.api.tokens import TokenView
from swwbot_site.lib.apikit import Router

router = Router()
router.register("status", StatusView, basename="status")
router.register("servers", ServerView)
router.register("models", ModelView)
router.register("placements", PlacementView)
router.register("generations", GenerationView)
router.register("policy", PolicyView, basename="policy")
router.register("entities", EntityView)
router.register("limits", LimitView)
router.register("feeds", FeedView)
router.register("messages", MessageView)
router.register("replies", ReplyView)
router.register("ensembles", EnsembleView)
router.register("conversation-policy", TalkView, basename="conversation-policy")
router.register("posting", PostingView, basename="posting")
router.register("retention", RetentionView, basename="retention")
router.register("configuration", ConfigurationView, basename="configuration")
router.register("engines", EngineView)
router.register("events", EventView)
router.register("tokens", TokenView)
router.register("webhooks", WebhookView)
router.register("deliveries", DeliveryView)

app_name = "api"
urlpatterns = [
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(renderer_classes=[OpenApiJsonRenderer2, OpenApiYamlRenderer]), name="schema"),
    path("docs/", staff_member_required(SpectacularSwaggerSplitView.as_view(url_name="api:schema")), name="docs"),
]
