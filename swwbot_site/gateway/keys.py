"""Which programs may ask, what, and how much: the tokens of the API, remembered for a moment, and what they have asked lately.

How much a token has asked elsewhere, and waits for there, is counted from the rows; what it asked here is remembered exactly, for its
row comes later.
"""

import asyncio
import hashlib
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar

from django.db.models import Q

from cluster.models import Generation, LanguageModel
from cluster.queue import UnknownModel, known
from swwbot_site import tokens
from swwbot_site.gateway.judging import Refused
from swwbot_site.lib import clock
from swwbot_site.lib.loops import Context
from swwbot_site.models import Token

T = TypeVar("T")

AWAY_S: Final = 10.0
"""So long a database that does not answer is waited for, by whom it has told nothing yet."""

FRESH_S: Final = 1.0
"""So long a token, and what it asked elsewhere, is believed to be as it was; and a model."""

MINUTE_S: Final = 60.0
STRANGERS: Final = 2
"""So many names that nobody knows are looked up at the same time: whoever tries out tokens takes no thread from others."""

LIVE: Final = ("queued", "running")

MOST: Final = 10_000
"""So many tokens and names are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a name means."""

    id: int
    key: str
    names: frozenset[str]


@dataclass(slots=True, eq=False)
class Key:
    """A token that is good, and what is asked with it."""

    token: Token
    asked: deque[float] = field(default_factory=deque)
    """When, in the last minute, here."""
    elsewhere: int = 0
    """So often in the last minute, elsewhere."""
    flying: int = 0
    """So many answers are waited for here."""
    abroad: int = 0
    """So many in other processes, as far as they are written down: after a third of a second each is."""

    @property
    def caller(self) -> str:
        """Whose requests they are, for fairness and for the record."""
        return f"api:{self.token.name}"[:100]

    def may(self, model: Model) -> bool:
        """Whether it may ask this model."""
        allowed = {str(one).lower() for one in self.token.models_allowed}
        return not allowed or bool(allowed & model.names)

    def enter(self, now: float) -> None:
        """One more request. Raises Refused if those of the last minute, or those at once, are as many as it may have."""
        while self.asked and self.asked[0] <= now - MINUTE_S:
            self.asked.popleft()
        if len(self.asked) + self.elsewhere >= self.token.per_minute:
            wait_s = self.asked[0] + MINUTE_S - now if self.asked else FRESH_S
            raise Limited(f"The token {self.token.name} may ask {self.token.per_minute} times a minute.", wait_s)
        if self.token.at_once and self.flying + self.abroad >= self.token.at_once:
            raise Limited(f"The token {self.token.name} may wait for {self.token.at_once} answers at a time.", FRESH_S)
        self.asked.append(now)
        self.flying += 1


class Limited(Refused):
    """It has asked enough for now."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(429, message, "rate_limit_error", "rate_limit_exceeded")
        self.headers = [(b"retry-after", str(max(1, math.ceil(wait_s))).encode())]


class Away(Refused):
    """The database does not answer."""

    def __init__(self) -> None:
        super().__init__(503, "The bot's database does not answer. Try again.", "server_error", "database_away")
        self.headers = [(b"retry-after", b"2")]


@dataclass(slots=True)
class _Remembered(Generic[T]):
    """Values and refusals by name, believed for `FRESH_S`. Of many who ask for one at the same moment one looks it up. Raises Away."""

    values: dict[Hashable, tuple[float, T]] = field(default_factory=dict)
    _refused: dict[Hashable, tuple[float, Refused]] = field(default_factory=dict)
    _strangers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STRANGERS))
    _asked: "dict[Hashable, asyncio.Task[T]]" = field(default_factory=dict)

    async def get(self, name: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The value of a name; `find` looks it up. Raises what that raises."""
        found = self.values.get(name)
        if found is not None and time.monotonic() - found[0] <= FRESH_S:
            return found[1]
        refused = self._refused.get(name)
        if refused is not None and time.monotonic() - refused[0] <= FRESH_S:
            raise refused[1].with_traceback(None)
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.get_running_loop().create_task(self._look(name, find))
            asked.add_done_callback(_heard)
        try:
            async with asyncio.timeout(AWAY_S):
                return await asyncio.shield(asked)
        except TimeoutError as error:
            raise Away from error

    async def _look(self, name: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            if name in self.values:
                value = await find()
            else:
                async with self._strangers:
                    value = await find()
        except BaseException as error:
            self.values.pop(name, None)
            if isinstance(error, Refused):
                _put(self._refused, name, error)
            raise
        else:
            _put(self.values, name, value)
            return value
        finally:
            del self._asked[name]


def _heard(task: "asyncio.Task[Any]") -> None:
    """Whoever asked may have gone: nobody else takes its exception."""
    if not task.cancelled():
        task.exception()


def _put(kept: dict[Hashable, tuple[float, Any]], name: Hashable, value: object) -> None:
    if len(kept) >= MOST:
        kept.clear()
    kept[name] = time.monotonic(), value


class Keys:
    """What one process knows of tokens and models. Everything is looked up anew after a second."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._good: _Remembered[Key] = _Remembered()
        self._known: _Remembered[Model] = _Remembered()
        self._keys: dict[int, Key] = {}

    async def key(self, header: bytes) -> Key:
        """The key of an `Authorization` header. Raises Refused."""
        return await self._good.get(hashlib.sha256(header).digest(), partial(self._find, header))

    async def _find(self, header: bytes) -> Key:
        kind, _, secret = header.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise Refused(401, 'Send a token of this bot: "Authorization: Bearer sww_…". It is made in the admin.', code="invalid_api_key")
        token, elsewhere, abroad = await self._context.rows(_find, secret.strip(), self._context.owner)
        if token is None:
            raise Refused(401, "The token is unknown, expired or revoked.", code="invalid_api_key")
        if Token.Scope.GENERATE not in token.scopes:
            raise Refused(403, f"The token {token.name} has no scope `generate`.", "permission_error", "missing_scope")
        key = self._keys.setdefault(token.pk, Key(token))
        key.token, key.elsewhere, key.abroad = token, elsewhere, abroad
        return key

    async def model(self, name: str, key: Key) -> Model:
        """The model that a name means, if the token may ask it. Raises Refused."""
        model = await self._known.get(name, partial(self._meant, name))
        if not key.may(model):
            allowed = ", ".join(map(str, key.token.models_allowed))
            text = f"The token {key.token.name} may not ask {model.key}; it may ask {allowed}."
            raise Refused(403, text, "permission_error", "model_not_allowed", "model")
        return model

    async def _meant(self, name: str) -> Model:
        try:
            return await self._context.rows(_meant, name)
        except UnknownModel as error:
            raise Refused(404, str(error), code="model_not_found", param="model") from error

    async def models(self, key: Key) -> list[Model]:
        """The models that some server has and that the token may ask."""
        return [model for model in await self._context.rows(_offered) if key.may(model)]


def _find(secret: str, owner: int) -> tuple[Token | None, int, int]:
    """The token of a secret, how often it asked elsewhere in the last minute, and for how many answers it waits there."""
    now = clock.now()
    token = tokens.find(secret, now)
    if token is None:
        return None, 0, 0
    others = Generation.objects.filter(Q(home__isnull=True) | ~Q(home=owner), caller=f"api:{token.name}"[:100])
    waited = others.filter(home__isnull=False)
    # One state at a time: each has an index of its own, with as many entries as there are at this moment.
    abroad = sum(waited.filter(state=state).count() for state in LIVE) if token.at_once else 0
    return token, others.filter(queued_at__gt=now - timedelta(seconds=MINUTE_S)).count(), abroad


def _meant(name: str) -> Model:
    return _model(known(name).heir())


def _model(row: LanguageModel) -> Model:
    return Model(id=row.pk, key=row.key, names=frozenset({row.key, *row.aliases}))


def _offered() -> list[Model]:
    rows = LanguageModel.objects.filter(offers__server__enabled=True, replaced_at__isnull=True).distinct().order_by("key")
    return [_model(row) for row in rows]
