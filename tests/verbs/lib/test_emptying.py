"""What a test that commits leaves behind is taken away, in each of the three ways."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import TransactionTestCase

from cluster.models import Server
from tests import build, emptying

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("much", [1 << 20, 0], ids=["deleted", "truncated"])
def test_rows_go_and_what_migrating_made_stays(much: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "MUCH", much)
    before = set(Group.objects.values_list("pk", "name"))
    build.server()
    User.objects.create_user("ann").groups.add(Group.objects.get(name="viewer"))
    emptying.empty(TransactionTestCase())
    assert not Server.objects.exists()
    assert not User.objects.exists()
    assert set(Group.objects.values_list("pk", "name")) == before


def test_what_a_test_changed_of_that_is_made_anew() -> None:
    Group.objects.filter(name="viewer").update(name="guest")
    Group.objects.get(name="operator").permissions.clear()
    emptying.empty(TransactionTestCase())
    assert set(Group.objects.values_list("name", flat=True)) == {"viewer", "operator", "administrator"}
    assert Group.objects.get(name="operator").permissions.exists()
