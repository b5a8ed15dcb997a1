"""The conversation's pages in the admin."""

from conversations.admin import engine, feed, message, reply

__all__ = ["engine", "feed", "message", "reply"]
