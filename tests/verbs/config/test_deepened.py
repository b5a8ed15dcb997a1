"""What the configuration says about rooms, limits of feeds, all entities together, and what plugins have against it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.logic.balancing import STRATEGIES, Strategy
from conversations.models import ConversationPolicy, Feed, Room
from entities.models import Entity, RateLimit
from swwbot_site.config import export, folder, sheaf
from swwbot_site.config.apply import Diff, apply
from swwbot_site.config.folder import Bundle
from swwbot_site.config.problems import DocumentError
from swwbot_site.lib.hooks import hookimpl, manager
from tests import build

Put = Callable[..., Diff]
OWL = {"id": "owl", "username": "Owl", "color": "001002003", "systemPrompt": "Who?", "rateLimits": {"maxPostsPerHour": 5}}
MAIN = {"name": "main", "url": "http://chat.example/api"}
RULES = [{"posts": 5, "every": 10, "per": "minute"}, {"minSecondsBetweenPosts": 45, "feed": "main"}]


class Guard:
    """A plugin with its own strategies that objects to names with a Z."""

    @hookimpl
    def persona_problems(self, persona: Any) -> Sequence[str]:
        return ["Z is a bad letter"] if "Z" in persona.username else []

    @hookimpl
    def cluster_strategies(self) -> Mapping[str, Strategy]:
        return {"mine": STRATEGIES["round-robin"]}


@pytest.fixture
def guard() -> Iterator[None]:
    plugin = Guard()
    manager.register(plugin, name="guard")
    yield
    manager.unregister(plugin)


def limits(slug: str | None) -> set[tuple[str, int, int, str | None]]:
    return set(RateLimit.objects.filter(entity__slug=slug).values_list("kind", "amount", "every", "feed__name"))


def test_rules_become_limits_and_go_when_they_are_said_no_longer(put: Put) -> None:
    put({"feeds": [MAIN], "entities": [{**OWL, "rateLimits": {"maxPostsPerHour": 5, "rules": RULES}}]})
    assert limits("owl") == {("hour", 5, 1, None), ("minute", 5, 10, None), ("gap", 45, 1, "main")}
    build.limit(entity=Entity.objects.get(), kind="day", amount=99)
    diff = put({"feeds": [MAIN], "entities": [{**OWL, "rateLimits": {"maxPostsPerHour": 5, "rules": [{**RULES[0], "posts": 6}]}}]})
    assert [*diff.changes[0].fields] == ["limits.rules"]
    assert limits("owl") == {("hour", 5, 1, None), ("minute", 6, 10, None), ("day", 99, 1, None)}
    put({"feeds": [MAIN], "entities": [OWL]})
    assert limits("owl") == {("hour", 5, 1, None), ("day", 99, 1, None)}


def test_rules_of_all_entities_together(put: Put) -> None:
    put({"feeds": [MAIN], "globalSettings": {"rateLimits": {"maxPostsPerDay": 9, "rules": RULES}}})
    assert limits(None) == {("day", 9, 1, None), ("minute", 5, 10, None), ("gap", 45, 1, "main")}
    put({"feeds": [MAIN]})
    assert limits(None) == set()


def test_a_limit_of_a_feed_that_is_not_there_is_an_error(put: Put) -> None:
    with pytest.raises(DocumentError, match=r"^\$\.entities\[0\]\.rateLimits\.rules a limit of owl is for the feed main"):
        put({"entities": [{**OWL, "rateLimits": {"rules": RULES}}]})
    with pytest.raises(DocumentError, match=r"^\$\.globalSettings\.rateLimits\.rules a limit of all entities together"):
        put({"globalSettings": {"rateLimits": {"rules": RULES}}})
    assert not Entity.objects.exists()


def test_limits_alone_are_a_change_with_one_version(put: Put) -> None:
    put({"entities": [OWL]})
    put({"entities": [{**OWL, "rateLimits": {"maxPostsPerHour": 6}}]})
    new, old = Entity.objects.get().history.all()
    assert (old.history_type, new.history_type, new.history_change_reason) == ("+", "~", "imported from config.json")
    assert ([each["amount"] for each in old.limits], [each["amount"] for each in new.limits]) == ([5], [6])


def test_rooms_are_the_list_that_the_feed_says(put: Put) -> None:
    attic = {"domain": "attic", "entities": ["owl"], "maxRepliers": 1, "maxBotRun": 2, "strategy": "random", "silence": 5000}
    whole = {"feeds": [{**MAIN, "rooms": [attic, {"domain": "hall"}]}], "entities": [OWL, {**OWL, "id": "crow"}]}
    diff = put(whole)
    assert [*diff.changes[-1].fields] == ["rooms"]
    room, hall = Room.objects.order_by("domain")
    assert (room.max_repliers, room.max_bot_run, room.strategy, room.silence_s) == (1, 2, "random", 5.0)
    assert [entity.slug for entity in room.entities.all()] == ["owl"]
    assert (hall.max_repliers, hall.strategy, hall.entities.count()) == (None, "", 0)
    assert put(whole).changes == ()
    put({**whole, "feeds": [{**MAIN, "rooms": [{**attic, "entities": ["owl", "crow"], "maxRepliers": None}]}]})
    room.refresh_from_db()
    assert (room.max_repliers, room.entities.count(), Room.objects.count()) == (None, 2, 1)
    put({**whole, "feeds": [MAIN]})
    assert not Room.objects.exists()


def test_rooms_that_no_file_ever_said_stay(put: Put) -> None:
    put({"feeds": [MAIN]})
    Room.objects.create(feed=Feed.objects.get(), domain="by hand")
    put({"feeds": [{**MAIN, "maxText": 100}]})
    assert Room.objects.get().domain == "by hand"


def test_a_room_with_somebody_unknown_is_an_error_or_everybody_could_speak_there(put: Put) -> None:
    rooms = [{"domain": "attic", "entities": ["ghost"]}]
    with pytest.raises(DocumentError, match=r"^\$\.feeds\[0\]\.rooms\[0\] of attic admits ghost, which no entity is called"):
        put({"feeds": [{**MAIN, "rooms": rooms}], "entities": [OWL]})
    build.entity(slug="ghost")
    put({"feeds": [{**MAIN, "rooms": rooms}]})
    assert Room.objects.get().entities.get().slug == "ghost"


def test_the_settings_of_all_entities_come_and_go(put: Put) -> None:
    said = {"requireHumanSeconds": 60, "globalFilterOut": ["x"], "secondTry": False}
    assert str(put({"globalSettings": said})) == "1 conversation policy changed"
    policy = ConversationPolicy.current()
    assert (policy.require_human_s, policy.filter_out, policy.try_again, policy.stopped) == (60, ["x"], False, False)
    put({})
    policy = ConversationPolicy.current()
    assert (policy.require_human_s, policy.filter_out, policy.try_again) == (0, [], True)


def test_an_entity_of_november_sends_nothing_that_it_does_not_say(put: Put) -> None:
    put({"entities": [{**OWL, "top_p": 0.9, "modelServer": "ollama-hm"}, {**OWL, "id": "uhu", "username": "Uhu"}]})
    owl, uhu = Entity.objects.order_by("slug")
    assert (owl.top_p, owl.frequency_penalty, owl.presence_penalty, owl.user_prompt) == (0.9, None, None, "")
    assert (uhu.top_p, uhu.frequency_penalty, uhu.presence_penalty, bool(uhu.user_prompt)) == (None, 0.3, 0.3, True)


def test_an_import_that_says_nothing_of_it_makes_no_row(put: Put) -> None:
    put({"entities": [OWL]})
    assert not ConversationPolicy.objects.exists()


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        (
            {"clusterSettings": {"loadBalancingStrategy": "best"}},
            r"\$\.clusterSettings\.loadBalancingStrategy is 'best'; choose one of .*round-robin",
        ),
        ({"feeds": [{**MAIN, "strategy": "best"}]}, r"\$\.feeds\[0\]\.strategy is 'best'; choose one of least-recent, natural"),
        ({"feeds": [{**MAIN, "rooms": [{"domain": "a", "strategy": "best"}]}]}, r"\$\.feeds\[0\]\.rooms\[0\] is 'best'"),
    ],
)
def test_a_strategy_that_nobody_brings_is_an_error(put: Put, tree: dict[str, Any], path: str) -> None:
    with pytest.raises(DocumentError, match=path):
        put(tree)


def test_a_plugins_strategy_is_known(put: Put, guard: None) -> None:
    put({"clusterSettings": {"loadBalancingStrategy": "mine"}})


def test_a_plugin_keeps_a_whole_import_out_and_says_where(put: Put, guard: None) -> None:
    put({"entities": [OWL]})
    with pytest.raises(DocumentError) as caught:
        put({"entities": [{**OWL, "username": "Z1"}, {**OWL, "id": "new"}, {**OWL, "id": "z", "username": "Z2"}]})
    assert [str(problem) for problem in caught.value.problems] == [
        "$.entities[0] is refused: Z is a bad letter",
        "$.entities[2] is refused: Z is a bad letter",
    ]
    assert [(row.slug, row.username, row.history.count()) for row in Entity.objects.all()] == [("owl", "Owl", 1)]


def write(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)


def test_a_folder_gives_the_same_rows_as_the_file_it_was_split_from(put: Put, sample: Callable[[str], bytes], tmp_path: Path) -> None:
    put(sample("full"), "full.json")
    whole = export.text()
    write(tmp_path / "all", folder.split(export.document()))
    read = sheaf.read(tmp_path / "all")
    assert isinstance(read, Bundle)
    assert apply(read, "all").changes == ()
    assert export.text() == whole


def test_a_file_that_goes_disables_its_entity_and_one_bad_file_keeps_all_out(db: None, tmp_path: Path) -> None:
    write(tmp_path, {"ai-entities/owl.json": '{"systemPrompt": "Who?"}', "ai-entities/crow.json": '{"systemPrompt": "Caw."}'})
    apply(sheaf.read(tmp_path), "all")
    (tmp_path / "ai-entities" / "crow.json").unlink()
    apply(sheaf.read(tmp_path), "all")
    assert dict(Entity.objects.values_list("slug", "enabled")) == {"owl": True, "crow": False}
    write(tmp_path, {"ai-entities/owl.json": '{"systemPrompt": "New"}', "ai-entities/bad.json": "{"})
    with pytest.raises(DocumentError, match=r"ai-entities/bad\.json: \$ is not JSON"):
        apply(sheaf.read(tmp_path), "all")
    assert Entity.objects.get(slug="owl").system_prompt == "Who?"


def test_a_folder_shows_every_change_of_its_files_and_no_hidden_one(tmp_path: Path) -> None:
    write(tmp_path, {"global.json": "{}", "ai-entities/owl.json": "{}"})
    before = sheaf.stamp(tmp_path)
    write(tmp_path, {".hidden": "", "ai-entities/.owl.json.swp": ""})
    assert sheaf.stamp(tmp_path) == before
    assert sheaf.names(tmp_path) == ["ai-entities/owl.json", "global.json"]
    write(tmp_path, {"ai-entities/crow.json": "{}"})
    assert sheaf.stamp(tmp_path) != before
    assert sheaf.stamp(tmp_path / "no") is None


def test_a_folder_that_changes_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    class Restless(type(tmp_path)):  # type: ignore[misc]
        """A folder in which somebody writes whenever a file is read."""

        def read_bytes(self) -> bytes:
            content: bytes = super().read_bytes()
            self.write_bytes(content + b" ")
            return content

    write(tmp_path, {"global.json": "{}"})
    with pytest.raises(sheaf.Unsteady, match="changes while it is read"):
        sheaf.read(Restless(tmp_path))
    assert sheaf.read(tmp_path) == Bundle(files=(("global.json", b"{}   "),))
