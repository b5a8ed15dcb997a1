"""The engines of these tests look about more often than real ones: nobody waits for what has a time and no bell."""

from datetime import timedelta

import pytest

from cluster import catalogue, plan, serve


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing waits they plan twice a second, and what they know of the models on disk is read for every plan.

    Otherwise a request that is made as soon as a server is online could be planned without what has just been found there.
    """
    monkeypatch.setattr(plan, "REST", timedelta(seconds=0.5))
    monkeypatch.setattr(serve, "REST_S", 0.5)
    monkeypatch.setattr(catalogue, "REMEMBERED", timedelta())
