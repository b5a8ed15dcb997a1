"""The conversation's pages in the admin."""

from conversations.admin import engine, ensemble, feed, message, policy, reply, room, scenario

__all__ = ["engine", "ensemble", "feed", "message", "policy", "reply", "room", "scenario"]
