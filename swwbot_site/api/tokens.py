"""Tokens in `/api/v1/`: made, listed, taken back. A secret is shown when it is made, and never again."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from swwbot_site import tokens
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.forms import Form, Texts
from swwbot_site.lib.lists import Filter
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who
from swwbot_site.models import Token


class TokenForm(Form):
    """What a new token is good for. A token cannot make one that may more, or is good for longer, than itself."""

    name = serializers.CharField(max_length=tokens.LONGEST, help_text="Which program it is for.")
    user = serializers.SlugRelatedField(
        slug_field="username",
        queryset=User.objects.filter(is_active=True),
        required=False,
        help_text="The login on whose behalf it acts, who may no more than you; without it, you.",
    )
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Token.Scope.choices), allow_empty=False, max_length=10)
    days = serializers.FloatField(
        required=False, allow_null=True, min_value=0.001, max_value=36_500, help_text="How long it is good; null: for ever."
    )
    priority = serializers.IntegerField(required=False, min_value=0, max_value=99, help_text="Of its requests to models; 0 is first.")
    models = Texts(required=False, help_text="The models it may ask. Empty: all.")
    per_minute = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000, help_text="Requests it may make in a minute.")
    at_once = serializers.IntegerField(
        required=False, min_value=0, max_value=1_000_000, help_text="Answers of models it may wait for at the same time. 0: any number."
    )


class TokenSerializer(serializers.ModelSerializer[Token]):
    """The right of a program to speak to the API. `prefix` is how its secret goes on behind `sww_`."""

    user: Any = serializers.SlugRelatedField(slug_field="username", read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    models = serializers.ListField(source="models_allowed", child=serializers.CharField(), read_only=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = Token
        fields: tuple[str, ...] = (
            *("id", "name", "prefix", "user", "scopes", "state", "priority", "models", "per_minute", "at_once"),
            *("created_at", "expires_at", "revoked_at", "used_at"),
        )
        read_only_fields: tuple[str, ...] = fields

    def get_state(self, row: Token) -> str:
        """Whether it is good: good, expired, revoked."""
        return tokens.state(row)


class NewTokenSerializer(TokenSerializer):
    """A token with its secret, which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "secret")
        read_only_fields = fields


class TokenFilter(Filter):
    """Tokens by name and person."""

    user = filters.CharFilter(field_name="user__username", label="A login.")

    class Meta:
        model = Token
        fields = ("name",)


class TokenView(Rows[Token]):
    """Which programs may speak to the API. Their secrets are kept nowhere."""

    queryset = Token.objects.all()
    serializer_class = TokenSerializer
    filterset_class = TokenFilter
    ordering = "name"
    ordering_fields = ("name", "id")
    forms = {"create": TokenForm}
    shapes = {"create": NewTokenSerializer}
    secretive = frozenset(shapes)
    scopes = dict.fromkeys(("list", "retrieve"), (Scope.ADMINISTER,))

    def create(self, request: Request) -> Response:
        """Make a token. The answer holds its secret, this once."""
        said, through = self.said(), request.auth if isinstance(request.auth, Token) else None
        days = said.pop("days", None)
        name, user, scopes = said.pop("name"), said.pop("user", request.user), said.pop("scopes")
        lasts = timedelta(days=days) if days is not None else None
        row, secret = tokens.make(name, user, scopes, who=who(request), by=request.user, through=through, lasts=lasts, **said)
        shown: Any = row
        shown.secret = secret
        return Response(NewTokenSerializer(shown).data, status=201)

    @extend_schema(responses=TokenSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, **_: Any) -> Response:
        """Take it back: it is good for nothing from now on. 409 if it was taken back before."""
        pk = self.pk()
        first(tokens.revoke([pk], who(request)))
        return self.shown(pk)
