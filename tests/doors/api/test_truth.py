"""The OpenAPI document is true: requests drawn from it, right ones and wrong ones, are answered as it says, and none breaks the program.

The draws are the same in every run, and few for each operation; what they found once stands as a test of its own elsewhere.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cluster.models import Generation, LanguageModel, Placement, Server
from conversations.models import Engine, Ensemble, Feed, Message, Reply
from entities.models import Entity, RateLimit
from swwbot_site.models import Delivery, Event, Token, Webhook
from tests import build
from tests.doors.api.conftest import town

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
DRAWS = settings(
    max_examples=2,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def headers(db: None) -> Iterator[dict[str, str]]:
    """A token for everything, that may ask as often as it likes, and rows to ask for."""
    cache.clear()
    town(2)
    build.reply(state="held", text="Hello.")
    row, secret = build.token()
    Token.objects.filter(pk=row.pk).update(per_minute=1_000_000)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the test's transaction lives on that connection
    yield {"Authorization": f"Bearer {secret}"}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    cache.clear()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right requests", "wrong requests"])
def test_every_operation_does_what_the_document_says(headers: dict[str, str], mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application(), headers=headers)
    rows = _rows()
    asked: dict[int, int] = {}

    def one(operation: Any) -> None:
        @DRAWS
        @given(operation.as_strategy(generation_mode=mode))
        def draw(case: Any) -> None:
            if mode is GenerationMode.POSITIVE and case.path_parameters:
                case.path_parameters.update(rows[operation.path.split("/")[3]])
            with transaction.atomic():
                response = case.call(headers=headers)
                transaction.set_rollback(True)
            asked[response.status_code // 100] = asked.get(response.status_code // 100, 0) + 1
            case.validate_response(response, checks=CHECKS)

        draw()

    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith(("/progress/", "/stream/")):  # they have tests of their own
            one(operation)
    assert asked.get(5, 0) == 0
    assert asked[2] > 0 if mode is GenerationMode.POSITIVE else asked[4] > 0


def _rows() -> dict[str, dict[str, Any]]:
    """By list: the path parameters of one of its rows."""
    models = (Server, LanguageModel, Placement, Generation, RateLimit, Feed, Message, Ensemble, Engine, Event, Token, Webhook, Delivery)
    names = "servers models placements generations limits feeds messages ensembles engines events tokens webhooks deliveries"
    found: dict[str, dict[str, Any]] = {name: {"id": model.objects.first().pk} for name, model in zip(names.split(), models, strict=True)}
    slug = Entity.objects.first().slug
    return found | {"replies": {"id": Reply.objects.get(state="held").pk}, "entities": {"slug": slug, "version": "1"}}
