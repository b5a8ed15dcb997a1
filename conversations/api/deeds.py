"""The conversation's part of `/api/v1/` where something is done: answers judged, several asked, posting stopped, settings changed."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import approve, convene, ensemble, ensembles, requeue, stop, tune
from conversations.api.forms import AskForm, EditForm, TalkForm
from conversations.api.serializers import ReplySerializer, WholeReplySerializer
from conversations.api.shapes import EnsembleSerializer, PostingSerializer, TalkSerializer, WholeEnsembleSerializer
from conversations.models import ConversationPolicy, Ensemble, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import One, Rows
from swwbot_site.lib.forms import Why
from swwbot_site.lib.lists import Filter, Number
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who

OPERATE = (Scope.OPERATE,)


class ReplyFilter(Filter):
    """Answers by entity, message and state."""

    entity = filters.CharFilter(field_name="entity__slug", label="An entity's id.")
    message = Number(field_name="message_id", label="A message's number.")
    feed = filters.CharFilter(field_name="message__feed__name", label="A feed's name.")

    class Meta:
        model = Reply
        fields = ("state", "mode", "outgoing_id")


class EnsembleFilter(Filter):
    """Ensembles by state."""

    message = Number(field_name="message_id", label="A message's number.")

    class Meta:
        model = Ensemble
        fields = ("state", "key", "asked_by")


class ReplyView(Rows[Reply]):
    """The personas' answers, the newest first; one alone also shows its verdict."""

    queryset = Reply.objects.all()
    serializer_class = ReplySerializer
    whole_class = WholeReplySerializer
    filterset_class = ReplyFilter
    forms = {"edit": EditForm, "reject": Why}
    scopes = dict.fromkeys(("approve", "edit", "reject", "requeue"), OPERATE)
    refusals = {requeue.Refused: 409}

    @action(detail=True, methods=["post"])
    def approve(self, request: Request, **_: Any) -> Response:
        """Let an answer on hold be posted; 409 if it is not on hold any more."""
        pk = self.pk()
        first(approve.approve([pk], who(request)))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def edit(self, request: Request, **_: Any) -> Response:
        """Let an answer on hold be posted with another text; 409 if it is not on hold any more."""
        pk = self.pk()
        first(approve.edit(pk, self.said()["text"], who(request)))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def reject(self, request: Request, **_: Any) -> Response:
        """Let an answer on hold not be posted; 409 if it is not on hold any more."""
        pk = self.pk()
        first(approve.reject([pk], who(request), self.said()["why"]))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def requeue(self, request: Request, **_: Any) -> Response:
        """Want an answer again that ended without a post; 409 if that cannot be."""
        pk = self.pk()
        requeue.requeue(pk, who(request))
        return self.shown(pk)


class EnsembleView(Rows[Ensemble]):
    """One question to several entities, the newest first; one alone also shows who has said what."""

    queryset = Ensemble.objects.all()
    serializer_class = EnsembleSerializer
    whole_class = WholeEnsembleSerializer
    filterset_class = EnsembleFilter
    forms = {"create": AskForm}
    scopes = dict.fromkeys(("create", "cancel"), OPERATE)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One ensemble as it stands."""
        return self.shown(self.pk())

    def shown(self, pk: Any, code: int = 200) -> Response:
        """One with its steps."""
        row = self.get_queryset().get(pk=pk)
        return Response(self.get_serializer(_Told(row)).data, status=code)

    def create(self, request: Request) -> Response:
        """Ask several entities one question; posting the answers needs `post` and a message."""
        said = self.said()
        chosen = said.pop("entities", None)
        count = said.pop("count", None)
        wish = convene.Wish(**said, who=count or (tuple(chosen) if chosen else "all"), asked_by=who(request))
        return self.shown(convene.convene(wish, clock.now()), 201)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_: Any) -> Response:
        """Call it off; what is posted stays. 409 if it has ended."""
        pk = self.pk()
        first(ensemble.cancel(pk, who(request), clock.now()))
        return self.shown(pk)


class _Told:
    """An ensemble's row with its steps."""

    def __init__(self, row: Ensemble) -> None:
        self._row = row

    @property
    def steps(self) -> tuple[ensembles.Spoke, ...]:
        """What was said."""
        return ensembles.spoken(self._row)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


@extend_schema_view(list=extend_schema(operation_id="conversation_policy_retrieve"))
class TalkView(One):
    """What holds for all entities."""

    serializer_class = TalkSerializer
    queryset = ConversationPolicy.objects.all()
    forms = {"change": TalkForm}

    def get_object(self) -> ConversationPolicy:
        """The one row, or the defaults."""
        return ConversationPolicy.current()

    @extend_schema(operation_id="conversation_policy_change")
    def change(self, request: Request) -> Response:
        """Change what is given; running engines obey at once."""
        tune.tune(self.said(), who(request))
        return self.shown()


@extend_schema_view(list=extend_schema(operation_id="posting_retrieve"))
class PostingView(One):
    """The global stop: whether anything is posted anywhere."""

    serializer_class = PostingSerializer
    queryset = ConversationPolicy.objects.all()
    forms = {"stop": Why}
    scopes = dict.fromkeys(("stop", "resume"), OPERATE)
    needs = dict.fromkeys(scopes, "conversations.stop_posting")

    def get_object(self) -> ConversationPolicy:
        """The one row, or the defaults."""
        return ConversationPolicy.current()

    @action(detail=False, methods=["post"])
    def stop(self, request: Request) -> Response:
        """Stop all posting, everywhere, within a second; 409 if it is stopped already."""
        first(stop.stop(who(request), self.said()["why"]))
        return self.shown()

    @action(detail=False, methods=["post"])
    def resume(self, request: Request) -> Response:
        """Post again; what waits and is not too late goes out. 409 if it is not stopped."""
        first(stop.resume(who(request)))
        return self.shown()
