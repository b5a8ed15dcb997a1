"""Asking for clients that wait in this process: on seats that it holds where nobody else waits, through the queue's rows where somebody does.

A request takes a held seat at once, and is written down while it is asked, or afterwards. Whoever finds none soon becomes a row of the
queue like any other: the engines plan for it, load for it, and give it a seat; the asking stays here, where its client waits. So does
a request that failed before its client heard a word of its answer.

::

    relay     one request, from its client's wish to the last piece     seating   who gets which seat, and what waits
    flight    a request on its way                                      storing   what is written down, and when
    holding   seats taken and given back, in order                      held      the rows of that
    place     where requests stand in the queue, in words
"""

from cluster.relay.flight import Embedding, Wanted
from cluster.relay.relay import Relay

__all__ = ["Embedding", "Relay", "Wanted"]
