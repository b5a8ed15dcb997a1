"""What a token may ask, how much of it, and until when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import openai
import pytest
from django.db import connection, transaction

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation
from swwbot_site import tokens
from swwbot_site.gateway import keys
from swwbot_site.lib import clock
from swwbot_site.models import Token
from tests import build
from tests.doors.gateway.conftest import HELLO, MODEL, Gateway, free
from tests.harness import PATIENCE_S, until
from tests.simulation.cluster import MEDIUM, SMALL

Cluster = Callable[..., list[Emulator]]


def client(gateway: Gateway, secret: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0, timeout=PATIENCE_S)


def test_a_token_may_ask_so_often_a_minute_and_is_told_when_again(gateway: Gateway, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    _, secret = build.token("generate", per_minute=3)
    with client(gateway, secret) as one:
        for _ in range(3):
            one.chat.completions.create(**HELLO)
        with pytest.raises(openai.RateLimitError) as much:
            one.chat.completions.create(**HELLO)
        assert much.value.code == "rate_limit_exceeded"
        assert 1 <= int(much.value.response.headers["retry-after"]) <= 60
        assert one.models.list().data
    until(lambda: Generation.objects.filter(state="done").count() == 3, what="three rows")
    assert Generation.objects.count() == 3
    row, secret = build.token("generate", per_minute=2)
    for _ in range(2):  # through the API, or another process
        build.generation(caller=f"api:{row.name}", model=Generation.objects.all()[0].model, state="done")
    with client(gateway, secret) as one, pytest.raises(openai.RateLimitError):
        one.chat.completions.create(**HELLO)


def test_a_token_waits_for_so_many_answers_at_a_time(gateway: Gateway, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"], tokens_per_s=1.0)
    _, secret = build.token("generate", at_once=2)
    with client(gateway, secret) as one:
        streams = [one.chat.completions.create(**HELLO, stream=True) for _ in range(2)]
        with pytest.raises(openai.RateLimitError):
            one.chat.completions.create(**HELLO)
        streams[0].close()

        def again() -> bool:
            try:
                streams.append(one.chat.completions.create(**HELLO, stream=True))
            except openai.RateLimitError:
                return False
            return True

        until(again, what="room for another")
        for stream in streams:
            stream.close()
    free()


def test_answers_that_a_token_waits_for_in_other_processes_count_too(gateway: Gateway, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    row, secret = build.token("generate", at_once=2)
    model, other = build.model(key="another"), {"caller": f"api:{row.name}", "home": 12345}
    with client(gateway, secret) as one:
        assert one.chat.completions.create(**HELLO)
        later = clock.now() + timedelta(hours=1)
        build.generation(model=model, state="done", ended_at=clock.now(), **other)
        build.generation(model=model, caller=row.name, home=12345, not_before=later)
        build.generation(model=model, caller=other["caller"], not_before=later)  # through the API: nobody waits for it
        for _ in range(2):
            build.generation(model=model, not_before=later, **other)

        def refused() -> bool:
            try:
                one.chat.completions.create(**HELLO)
            except openai.RateLimitError:
                return True
            return False

        until(refused, what="a refusal")
        Generation.objects.filter(not_before=later).delete()
        until(lambda: not refused(), what="an answer")
    free()


def test_a_token_asks_only_its_models_and_needs_its_scope(gateway: Gateway, cluster: Cluster) -> None:
    cluster(models=[SMALL, MEDIUM], loaded=["maker/small"])
    _, secret = build.token("generate", models=["Maker/Small"])
    with client(gateway, secret) as one:
        assert [model.id for model in one.models.list()] == [MODEL]
        assert one.chat.completions.create(**HELLO).model == MODEL
        for ask in (
            lambda: one.chat.completions.create(**HELLO | {"model": "maker/medium"}),
            lambda: one.models.retrieve("maker/medium"),
        ):
            with pytest.raises(openai.PermissionDeniedError) as refused:
                ask()
            assert refused.value.code == "model_not_allowed"
    _, secret = build.token("read")
    with client(gateway, secret) as one, pytest.raises(openai.PermissionDeniedError) as refused:
        one.chat.completions.create(**HELLO)
    assert refused.value.code == "missing_scope"


@pytest.mark.parametrize("end", ["revoked", "expired", "the person left"])
def test_a_token_that_ends_is_good_for_nothing_soon_after(end: str, gateway: Gateway, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    row, secret = build.token("generate")
    with client(gateway, secret) as one:
        assert one.models.list().data
        if end == "revoked":
            tokens.revoke([row.pk], "test")
        elif end == "expired":
            Token.objects.filter(pk=row.pk).update(expires_at=clock.now() - timedelta(seconds=1))
        else:
            row.user.is_active = False
            row.user.save()

        def good() -> bool:
            try:
                one.models.list()
            except openai.AuthenticationError:
                return False
            return True

        until(lambda: not good(), what="the end of the token")


def test_a_database_that_does_not_answer_is_told_after_a_while(gateway: Gateway, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "AWAY_S", 0.3)
    with client(gateway, secret) as one:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {Token._meta.db_table} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(openai.InternalServerError) as away:
                one.models.list()
        assert (away.value.status_code, away.value.code) == (503, "database_away")
        assert away.value.response.headers["retry-after"]

        def open_again() -> bool:
            try:
                one.models.list()
            except openai.InternalServerError:
                return False
            return True

        until(open_again, what="an answer")


def test_many_strangers_at_once_keep_nobody_who_is_known_from_asking(gateway: Gateway, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    _, secret = build.token("generate", per_minute=1000)
    with client(gateway, secret) as known, client(gateway, "none") as stranger, ThreadPoolExecutor(16) as pool:
        assert known.chat.completions.create(**HELLO)

        def guess(number: int) -> str:
            try:
                stranger.with_options(api_key=f"sww_abcdefgh{number:043d}").models.list()
            except openai.AuthenticationError as refused:
                return str(refused.code)
            return "let in"

        guesses = [pool.submit(guess, number % 150) for number in range(300)]
        for _ in range(5):
            assert known.chat.completions.create(**HELLO)
        assert {one.result() for one in guesses} == {"invalid_api_key"}
    free()
