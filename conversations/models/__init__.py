"""The conversation's rows."""

from conversations.models.engine import Engine
from conversations.models.ensemble import Ensemble, Voice
from conversations.models.feed import Feed
from conversations.models.message import Message
from conversations.models.policy import ConversationPolicy
from conversations.models.reply import Reply
from conversations.models.room import Room
from conversations.models.scenario import Scenario

__all__ = ["ConversationPolicy", "Engine", "Ensemble", "Feed", "Message", "Reply", "Room", "Scenario", "Voice"]
