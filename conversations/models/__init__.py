"""The conversation's rows."""

from conversations.models.engine import Engine
from conversations.models.feed import Feed
from conversations.models.message import Message
from conversations.models.reply import Reply

__all__ = ["Engine", "Feed", "Message", "Reply"]
