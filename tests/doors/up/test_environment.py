"""Secrets, signing key and the database's address."""

import stat
import threading
from pathlib import Path

import pytest

from swwbot_site import environment
from swwbot_site.environment import EnvironmentFault


def test_a_secret_comes_from_its_variable_or_from_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from a file\n")
    assert environment.confidential({}, "KEY") == ""
    assert environment.confidential({"KEY": "plain"}, "KEY") == "plain"
    assert environment.confidential({"KEY_FILE": str(file)}, "KEY") == "from a file"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"KEY": "a", "KEY_FILE": "b"}, "KEY and KEY_FILE are both set"),
        ({"KEY_FILE": "nowhere/at/all"}, "KEY_FILE: cannot read nowhere/at/all"),
    ],
)
def test_a_secret_that_cannot_be_read_is_an_error_that_says_which(variables: dict[str, str], said: str) -> None:
    with pytest.raises(EnvironmentFault, match=said):
        environment.confidential(variables, "KEY")


def test_the_signing_key_is_made_once_and_is_nobody_elses_business(tmp_path: Path) -> None:
    key = environment.signing_key(tmp_path / "var")
    assert len(key) >= 50
    assert environment.signing_key(tmp_path / "var") == key
    assert stat.S_IMODE((tmp_path / "var" / "secret-key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret-key"]


def test_processes_that_start_together_agree_on_the_signing_key(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    keys: list[str] = []

    def make() -> None:
        barrier.wait()
        keys.append(environment.signing_key(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_the_socket_stays_beside_the_data_unless_its_address_is_too_long() -> None:
    assert environment.socket_folder(Path("/srv/bot/var")) == Path("/srv/bot/var/postgres")
    deep = environment.socket_folder(Path("/srv") / ("a" * 100) / "var")
    assert deep.parent == Path("/tmp")
    assert deep == environment.socket_folder(Path("/srv") / ("a" * 100) / "var")
    assert deep != environment.socket_folder(Path("/srv") / ("b" * 100) / "var")


def test_a_database_address_becomes_djangos_entry() -> None:
    entry = environment.database("postgresql://me:p%40ss@db.example:5433/bot?sslmode=require", Path("/srv/var"))
    assert (entry["HOST"], entry["PORT"], entry["USER"], entry["PASSWORD"], entry["NAME"]) == ("db.example", 5433, "me", "p@ss", "bot")
    assert entry["OPTIONS"] == {"sslmode": "require"}


@pytest.mark.parametrize("url", ["mysql://a@b/c", "sqlite:///x", "db.example:5432", "http://example.com"])
def test_another_kind_of_database_is_refused_without_showing_the_address(url: str) -> None:
    with pytest.raises(EnvironmentFault, match="DATABASE_URL") as caught:
        environment.database(url, Path("/srv/var"))
    assert url not in str(caught.value)
