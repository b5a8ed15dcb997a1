"""Requests to models in `/api/v1/`: hand one in, watch it, call it off, bring it forward, ask it again."""

import json
import time
from dataclasses import asdict
from datetime import timedelta
from threading import BoundedSemaphore
from typing import Any, Final

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from cluster import hurry, queue, watch
from cluster.api.forms import GenerationForm, PriorityForm
from cluster.api.serializers import GenerationSerializer, WholeGenerationSerializer
from cluster.logic.request import Request as Asked
from cluster.models import Generation
from cluster.watch import Standing
from swwbot_site.lib import clock, streams
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.apistream import RENDERERS, streamed
from swwbot_site.lib.lists import Filter
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, lacks, who
from swwbot_site.lib.streams import Look

LONGEST_S: Final = 30.0
"""How long a request may wait for an answer."""

LOOK_S: Final = 0.2
USUAL: Final = 50
"""The priority of what people ask."""

WAITING: Final = BoundedSemaphore(32)
"""Each that waits holds a thread and a connection to the database; whoever finds no place is answered at once."""

EITHER = (Scope.READ, Scope.GENERATE)


class GenerationFilter(Filter):
    """Generations by state and caller, and by the names of server and model."""

    server = filters.CharFilter(field_name="server__name", label="A server's name.")
    model = filters.CharFilter(field_name="model__key", label="A model's canonical name.")

    class Meta:
        model = Generation
        fields = ("state", "caller", "error_code", "cached")


WAIT = OpenApiParameter(
    "wait", OpenApiTypes.FLOAT, description=f"Seconds, up to {LONGEST_S:g}: answered when it has ended, or when they are over."
)


@extend_schema_view(retrieve=extend_schema(parameters=[WAIT]))
class GenerationView(Rows[Generation]):
    """Requests to models, the newest first; one alone also shows what was sent and why it ran where it ran.

    A token that may `generate` sees and calls off its own; for those of others it needs `read` or `operate`, and its person the permission.
    """

    queryset = Generation.objects.all()
    serializer_class = GenerationSerializer
    whole_class = WholeGenerationSerializer
    filterset_class = GenerationFilter
    forms = {"create": GenerationForm, "forward": PriorityForm}
    refusals = {hurry.NotQueued: 409}
    scopes = {
        "list": EITHER,
        "retrieve": EITHER,
        "progress": EITHER,
        "create": (Scope.GENERATE,),
        "cancel": (Scope.OPERATE, Scope.GENERATE),
        "forward": (Scope.OPERATE,),
        "again": (Scope.OPERATE,),
    }

    def get_queryset(self) -> QuerySet[Generation]:
        """All, or the token's own."""
        return self._own(super().get_queryset())

    def pk(self) -> int:
        """The number of one that may be seen."""
        pk = int(super().pk())
        if not self.get_queryset().filter(pk=pk).exists():
            raise Http404
        return pk

    def _own(self, rows: QuerySet[Generation]) -> QuerySet[Generation]:
        token: Any = getattr(self.request, "auth", None)
        if token is None or Scope.GENERATE not in self.enough(self.action, str(self.request.method)):
            return rows  # what that needs was looked at before
        wide = Scope.OPERATE if self.action == "cancel" else Scope.READ
        anybodys = wide in token.scopes and not lacks(self.request, self.permission(self.action, str(self.request.method)))
        return rows if anybodys else rows.filter(caller=_caller(self.request))

    def create(self, request: Request) -> Response:
        """Queue a request. It gets the cluster's memory, fairness and failover like any other."""
        form = GenerationForm(data=request.data)
        form.is_valid(raise_exception=True)
        said, token = form.validated_data, request.auth
        asked = Asked(
            messages=[dict(turn) for turn in said["messages"]],
            sampling=form.sampling(),
            max_tokens=said.get("max_tokens"),
            stop=said.get("stop", ()),
        )
        now = clock.now()
        pk = queue.submit(
            _model(token, said["model"]),
            asked,
            caller=_caller(request),
            now=now,
            priority=_priority(token, said.get("priority")),
            deadline=now + timedelta(seconds=said["seconds"]) if "seconds" in said else None,
            pin=said["server"],
            cache=said["cache"],
        )
        return self.shown(pk, 201)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A request as it stands."""
        pk, until = self.pk(), time.monotonic() + _wait(request)
        if time.monotonic() < until and WAITING.acquire(blocking=False):
            try:
                while time.monotonic() < until and not watch.ended(pk):
                    time.sleep(LOOK_S)
            finally:
                WAITING.release()
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: Any) -> Response:
        """Call it off, waiting or running; 409 if it has ended."""
        pk = self.pk()
        first(queue.cancel(pk, clock.now(), f"called off by {who(request)}"))
        return self.shown(pk)

    @extend_schema(operation_id="generations_raise")
    @action(detail=True, methods=["post"], url_path="raise")
    def forward(self, request: Request, **_: Any) -> Response:
        """Give it another priority, and the turn that it would have had with it; 409 if it does not wait."""
        pk = self.pk()
        hurry.hurry(pk, self.said()["priority"], who(request))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def again(self, request: Request, **_: Any) -> Response:
        """Ask it again: a running one elsewhere, of an ended one a copy that nobody posts. Shows what waits then; 409 if it waits already."""
        return self.shown(hurry.again(self.pk(), who(request), clock.now()))

    @extend_schema(responses={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "Events `progress` and, last, `ended`.")})
    @action(detail=True, renderer_classes=RENDERERS)
    def progress(self, request: Request, **_: Any) -> StreamingHttpResponse:
        """Server-sent events: how it stands whenever that changes, until it has ended."""
        return streamed(request, _news(self.pk()))


def _news(pk: int) -> Look:
    """Tells how it stands, whenever that has changed."""
    told: Standing | None = None

    def look() -> tuple[bytes, bool]:
        nonlocal told
        now = watch.standing(pk)
        if now is None or now == told:
            return b"", now is None
        told = now
        return streams.event("ended" if now.ended else "progress", json.dumps(asdict(now))), now.ended

    return look


def _caller(request: Request) -> str:
    """Whose request it is, for fairness and for the record."""
    token: Any = request.auth
    return f"api:{token.name}"[:100] if token is not None else f"user:{request.user.get_username()}"[:100]


def _model(token: Any, name: str) -> str:
    """The model that is meant, if the token may ask it. Raises PermissionDenied, BotError."""
    model = queue.known(name) if name.strip() else queue.resolve("")
    if token is not None and token.models_allowed and not {model.key, *model.aliases} & {str(one).lower() for one in token.models_allowed}:
        raise PermissionDenied(f"The token {token.name} may not ask {model.key}; it may ask {', '.join(token.models_allowed)}.")
    return model.key


def _priority(token: Any, asked: int | None) -> int:
    """How urgent it is: a token's own priority, or something less urgent. Raises ValidationError."""
    best = token.priority if token is not None else 0
    if asked is not None and asked < best:
        raise ValidationError({"priority": f"This token's requests have the priority {best}, or a less urgent one."})
    return asked if asked is not None else token.priority if token is not None else USUAL


def _wait(request: Request) -> float:
    """Seconds to wait. Raises ValidationError."""
    said = request.query_params.get("wait", "0")
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_S:
        raise ValidationError({"wait": f"a number of seconds from 0 to {LONGEST_S:g}"})
    return seconds
