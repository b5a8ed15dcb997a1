"""One row of every kind with a given text in every place that a stranger or a peer can fill, and every address that answers to GET."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core import signals
from django.db import close_old_connections, connection
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from conversations.models import ConversationPolicy
from swwbot_site.lib import clock
from swwbot_site.models import ConfigImport
from swwbot_site.retention.row import Retention
from tests import build

CHANGING = {"django_session"}
"""What a visit itself may write: the visitor's own session."""

OF = {"why/reply": "conversations.Reply", "why/message": "conversations.Message", "status/answer": "conversations.Reply"}
"""Whose number an address has that names no model."""


def scene(text: str, *, secret: str = "") -> None:
    """A served message, with everything beside it, all of it saying `text` where strangers, peers and models speak; `secret` where it belongs."""
    now = clock.now()
    plain = text.replace("\0", "")
    line, short = " ".join(plain.split())[:60], plain[:16]
    server = build.server(
        name=line or "nameless", token=secret, state="offline", state_reason=plain, version=line, retry_at=now, failures=3
    )
    model = build.model(key=line or "keyless")
    build.offer(server=server, model=model)
    placement = build.placement(server=server, model=model, instance_id=line or "x", reason=plain, departure={"why": plain, "for": line})
    build.placement(server=server, model=build.model(), state="failed", reason=plain)
    build.seat(placement=placement)
    waits = {"decision": {"waits": plain, "why": plain}}
    build.generation(model=model, caller=line or "c", request={"messages": [{"role": "user", "content": plain}]}, **waits)
    tried = [{"server": line, "at": now.isoformat(), "code": "crashed", "text": plain}]
    failed = build.generation(model=model, server=server, state="failed", error=plain, error_code=line[:50], tried=tried, **waits)
    request = {"messages": [{"role": "system", "content": plain}, {"role": "user", "content": plain}], "stop": [plain]}
    done = build.generation(
        model=model, server=server, placement=placement, state="done", text=plain, reasoning=plain, request=request, tried=tried, **waits
    )
    entity = build.entity(
        username=short or "nobody", system_prompt=plain, user_prompt=plain, triggers=[line], interests=[line], disabled_reason=plain,
        stop=[plain], filter_out=[plain], trim_after=[plain], model=line,
    )  # fmt: skip
    build.limit(entity=entity)
    feed = build.feed(name=line or "feed", error=plain, failures=2, domain=line)
    build.room(feed=feed, domain=line or "room")
    words: dict[str, Any] = {"text": plain, "username": plain[:200], "color": plain[:100], "domain": plain[:200], "feed": feed}
    verdict = {"why": plain, "considered": [{"entity": plain, "answers": False, "why": plain}], "rules": [{"rule": plain, "factor": 2}]}
    said = build.message(**words, context=[plain, plain], bot_params={"entity": plain, "ais": plain}, verdict=verdict, decided_at=now)
    for state, generation in (("posted", done), ("held", None), ("failed", failed), ("dropped", None)):
        who = entity if state == "posted" else build.entity()
        permit = build.permit(entity=who, state="spent") if state == "posted" else None
        message = said if state == "posted" else build.message(**words, decided_at=now)
        drafts = [{"generation": 1, "text": plain, "why": plain}]
        build.reply(
            state=state, message=message, entity=who, permit=permit, generation=generation, username=short, color=plain[:40], text=plain,
            reason=plain, original=plain, judged_by=plain[:200], drafts=drafts, verdict=verdict, conversation=plain[:200],
        )  # fmt: skip
    build.ensemble(question=plain)
    build.event(text=plain, subject=line, kind="test.happened", detail={"text": plain, line: [plain]})
    build.engine(host=line, version=line[:20])
    build.share(caller=line or "who")
    build.notice(reason={"model": plain, "waiting": 3}, subject=line, error=plain)
    build.policy()
    ConversationPolicy.objects.get_or_create(pk=1)
    Retention.objects.get_or_create(pk=1)
    ConfigImport.objects.create(source=line, host=line, digest="0", outcome="rejected", at=now, version=plain, said={line: {line: [line]}})
    webhook = build.webhook(name=line or "hook", **({"secret": secret} if secret else {}))
    build.delivery(webhook=webhook, event=build.event(text=plain), answer=plain)


def addresses() -> list[str]:
    """Every address of the site, with the numbers of the newest rows."""
    return sorted({re.sub(r"//+", "/", found) for found in _walk("/", get_resolver().url_patterns)})


def _walk(before: str, patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for one in patterns:
        route = before + str(one.pattern).removeprefix("^").removesuffix("$").removesuffix(r"\Z")
        if isinstance(one, URLResolver):
            yield from _walk(route, one.url_patterns)
        else:
            yield from _filled(route, one)


def _filled(route: str, pattern: URLPattern) -> Iterator[str]:
    if "(?P<format>" in route or "(?P<drf_format" in route:
        return
    kind = _kind(route, pattern)
    row = kind._default_manager.order_by("pk").last() if kind else None
    number = str(row.pk) if row is not None else "1"
    route = re.sub(r"\(\?P<\w+>[^)]*\)", number, route)
    route = re.sub(r"<(?:\w+:)?app_label>", "cluster", route)
    yield re.sub(r"<[^>]+>", number, route).replace("\\.", ".").replace("\\", "").replace("?", "").replace("^", "")


def _kind(route: str, pattern: URLPattern) -> type[Model] | None:
    """The model whose rows an address is about."""
    if found := re.match(r"/admin/(\w+)/(\w+)/", route):
        try:
            return apps.get_model(found[1], found[2])
        except LookupError:
            pass
    for beginning, label in OF.items():
        if beginning in route:
            return apps.get_model(label)
    rows = getattr(getattr(pattern.callback, "cls", None), "queryset", None)
    return None if rows is None else rows.model


def seen(client: Client, path: str) -> str:
    """What an address answers, with its headers; a stream is not waited for."""
    response = client.get(path)
    assert response.status_code < 500 or path == "/readyz", path
    if not response.streaming:
        return response.content.decode(errors="replace") + str(response.headers)
    signals.request_finished.disconnect(close_old_connections)  # the test's own connection is needed further on
    try:
        response.close()
    finally:
        signals.request_finished.connect(close_old_connections)
    return ""


def fingerprint() -> dict[str, str]:
    """Every table and what is in it."""
    found = {}
    for table in connection.introspection.table_names():
        if table not in CHANGING:
            with connection.cursor() as cursor:
                cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
                found[table] = hashlib.sha256("\n".join(row[0] for row in cursor.fetchall()).encode()).hexdigest()
    return found
