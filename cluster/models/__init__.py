"""The cluster's rows."""

from cluster.models.generation import Generation
from cluster.models.model import LanguageModel
from cluster.models.notice import Notice
from cluster.models.offer import Offer
from cluster.models.placement import Placement
from cluster.models.policy import ClusterPolicy
from cluster.models.seat import Seat
from cluster.models.server import Server
from cluster.models.share import Share

__all__ = ["ClusterPolicy", "Generation", "LanguageModel", "Notice", "Offer", "Placement", "Seat", "Server", "Share"]
