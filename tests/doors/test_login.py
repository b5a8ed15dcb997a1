"""Logging in: who tries too many passwords waits, however many web processes there are, and is told how long."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from swwbot_site import entrance
from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.models import LoginAttempt
from tests.harness import until

LOGIN = "/admin/login/"
HERE = "198.51.100.7"


def tries(client: Client, password: str = "wrong", name: str = "admin", address: str = HERE) -> str:
    """What the login page says; empty if it lets one in."""
    response = client.post(LOGIN, {"username": name, "password": password, "next": "/status/"}, REMOTE_ADDR=address)
    return "" if response.status_code == 302 else response.content.decode()


def aged(minutes: float) -> None:
    """Every try was so much earlier."""
    for row in LoginAttempt.objects.all():
        row.at -= timedelta(minutes=minutes)
        row.save()


def test_after_too_many_wrong_passwords_not_even_the_right_one_is_looked_at(client: Client, staff: User) -> None:
    for _ in range(entrance.BY_NAME):
        assert "Too many" not in tries(client)
    assert "Too many wrong passwords. Try again in 15 minutes" in tries(client, "correct horse")
    assert "_auth_user_id" not in client.session


def test_the_page_says_how_long_and_then_lets_in(client: Client, staff: User) -> None:
    for _ in range(entrance.BY_NAME):
        tries(client)
    aged(14.5)
    assert "Try again in 1 minute;" in tries(client, "correct horse")
    aged(1)
    assert tries(client, "correct horse") == ""


def test_going_on_does_not_make_it_longer(client: Client, staff: User) -> None:
    for _ in range(entrance.BY_NAME):
        tries(client)
    for minutes in (5, 5, 4):
        aged(minutes)
        assert "Too many" in tries(client)
    aged(1.1)
    assert tries(client, "correct horse") == ""


def test_a_name_is_guarded_against_many_addresses(client: Client, staff: User) -> None:
    for number in range(entrance.BY_NAME):
        tries(client, address=f"203.0.113.{number}")
    assert "Too many" in tries(client, "correct horse")
    assert "Too many" not in tries(client, name="somebody else")


def test_an_address_is_slowed_down_whatever_names_it_tries(client: Client, staff: User) -> None:
    for number in range(entrance.BY_ADDRESS):
        tries(client, name=f"name-{number}")
    assert "Too many" in tries(client, "correct horse")
    assert tries(client, "correct horse", address="198.51.100.8") == ""


def test_all_addresses_of_one_ipv6_network_are_one(client: Client, staff: User) -> None:
    for number in range(entrance.BY_ADDRESS):
        tries(client, name=f"name-{number}", address=f"2001:db8:1:2::{number:x}")
    assert "Too many" in tries(client, "correct horse", address="2001:db8:1:2:ffff::1")
    assert tries(client, "correct horse", address="2001:db8:1:3::1") == ""


def test_the_right_password_clears_what_was_mistyped(client: Client, staff: User) -> None:
    for _ in range(3):
        for _ in range(entrance.BY_NAME - 1):
            tries(client)
        assert tries(client, "correct horse") == ""
        client.logout()
    assert not LoginAttempt.objects.exists()


@pytest.mark.parametrize("other", ["ADMIN", " admin ", "Admin"])
def test_another_spelling_is_the_same_name(client: Client, staff: User, other: str) -> None:
    for number in range(entrance.BY_NAME):
        tries(client, name=other, address=f"203.0.113.{number}")
    assert "Too many" in tries(client, "correct horse")


def test_names_and_passwords_are_not_kept(client: Client, staff: User, heard: list[Happening]) -> None:
    for _ in range(entrance.BY_NAME + 1):
        tries(client, password="hunter2", name="my-real-password")
    kept = " ".join(str(value) for row in LoginAttempt.objects.values() for value in row.values())
    told = " ".join(f"{one.text}{one.subject}{one.detail}" for one in heard)
    assert "my-real-password" not in kept + told
    assert "hunter2" not in kept + told


@pytest.mark.parametrize("name", ["", "\x00", "a" * 100_000, "\ud800", "' OR 1=1 --", "\u202eadmin"])
def test_names_of_any_kind_are_refused_quietly(client: Client, staff: User, name: str) -> None:
    if "\ud800" in name:
        assert entrance.secret(name)
        return
    assert tries(client, name=name) != ""


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1, 10.0.0.1"])
def test_addresses_of_any_kind_are_counted(client: Client, staff: User, address: str) -> None:
    for number in range(entrance.BY_ADDRESS):
        tries(client, name=f"name-{number}", address=address)
    assert "Too many" in tries(client, "correct horse", address=address)


@pytest.mark.django_db(transaction=True)
def test_it_is_told_once_for_people(client: Client, staff: User, heard: list[Happening]) -> None:
    for _ in range(entrance.BY_NAME + 5):
        tries(client)
    assert [one.kind for one in heard if one.kind == "login.throttled"] == ["login.throttled"]


def test_old_tries_are_thrown_away(client: Client, staff: User) -> None:
    tries(client)
    aged(16)
    tries(client)
    assert LoginAttempt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_however_many_try_at_once_no_more_than_the_limit_are_looked_at() -> None:
    looked, barrier = [], threading.Barrier(24)

    def one(number: int) -> None:
        try:
            barrier.wait(60)
            entry = entrance.tried(HERE, f"name-{number}", clock.now())
            if not entry.wait_s:
                looked.append(entry.row)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 1 <= len(looked) <= entrance.BY_ADDRESS
    assert until(lambda: LoginAttempt.objects.count() == len(looked))
