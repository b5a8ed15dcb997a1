"""The personas' rows."""

from entities.models.entity import Entity
from entities.models.limit import RateLimit
from entities.models.permit import Permit

__all__ = ["Entity", "Permit", "RateLimit"]
