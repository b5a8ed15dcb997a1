"""The dialects a server may speak, each a module."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from cluster.lmstudio import design, openai, v0, v1
from cluster.lmstudio.values import ChatRequest, Dialect, Listing, LoadResult
from cluster.lmstudio.wire import Conversation, Request


class Speech(Protocol):
    """What a dialect's module offers: requests to make and conversations to hold, never a connection."""

    def chats(self, request: ChatRequest) -> tuple[Request, ...]:
        """The same chat for each place to try, the next one only where the server has no such place."""
        ...

    def listing(self) -> Conversation[Listing]:
        """All models and which are in memory."""
        ...

    def load(self, model_key: str, context_length: int | None, kind: str, ttl_s: int) -> Conversation[LoadResult]:
        """Ends when the model is in memory."""
        ...

    def unload(self, instance_id: str, model_key: str) -> Conversation[None]:
        """Ends when the instance is out of memory."""
        ...


SPEECHES: Mapping[Dialect, Speech] = MappingProxyType(
    {Dialect.LMSTUDIO_V1: v1, Dialect.LMSTUDIO_V0: v0, Dialect.OPENAI: openai, Dialect.DESIGN: design}
)
