"""The personas' pages in the admin."""

from entities.admin import entity, limit

__all__ = ["entity", "limit"]
