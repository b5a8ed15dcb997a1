"""Versions: one for each change, whichever door it came through; what differs between two; and the way back."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User

from entities import chronicle, clone, switch, versions
from entities.errors import NoVersion, Refused, Taken, Unsound
from entities.models import Entity, RateLimit
from swwbot_site.lib.events import Happening
from swwbot_site.lib.hooks import hookimpl, manager
from tests import build


class Guard:
    """A plugin that objects to prompts with a forbidden word, and cannot read those with another."""

    @hookimpl
    def persona_problems(self, persona: Any) -> Sequence[str]:
        assert "unreadable" not in persona.system_prompt, "cannot read it"
        return ["it would swear"] if "swear" in persona.system_prompt else []


@pytest.fixture
def guard() -> Iterator[None]:
    plugin = Guard()
    manager.register(plugin, name="guard")
    yield
    manager.unregister(plugin)


def limits(row: Entity) -> set[tuple[str, int, int, int | None]]:
    return set(RateLimit.objects.filter(entity=row).values_list("kind", "amount", "every", "feed"))


def change(row: Entity, who: str = "", **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row._change_reason = "by test"
    row.save(update_fields=[*values])


def test_versions_say_when_who_why_and_what(db: None) -> None:
    User.objects.create_user("ann")
    row = build.entity(system_prompt="You are terse.")
    change(row, system_prompt="You are kind.", weight=2.0)
    switch.disable([row.pk], "too loud", "ann")
    off, changed, made = versions.versions(row.pk)
    assert (off.who, off.why, off.what, off.fields) == ("ann", "too loud", "changed", ("enabled", "disabled_reason"))
    assert (changed.who, changed.why, changed.fields) == ("", "by test", ("system_prompt", "weight"))
    assert (made.what, made.fields) == ("made", ())
    assert made.at <= changed.at <= off.at
    assert versions.versions(row.pk, 1) == (off,)
    assert versions.versions(0) == ()


def test_the_limits_are_part_of_a_version(db: None) -> None:
    row, feed = build.entity(), build.feed()
    build.limit(entity=row, kind="minute", amount=3)
    chronicle.keep([row], "", "one")
    build.limit(entity=row, kind="hour", amount=9, every=2, feed=feed)
    chronicle.keep([row], "", "two")
    two, one, _ = versions.versions(row.pk)
    assert two.fields == ("limits",)
    told = versions.diff(row.pk, one.number, two.number)["limits"]
    assert [each["kind"] for each in told.before] == ["minute"]
    assert told.after == [{"kind": "hour", "amount": 9, "every": 2, "feed": feed.pk}, *told.before]
    RateLimit.objects.all().delete()
    assert versions.rollback(row.pk, one.number, "ann") == ("limits",)
    assert limits(row) == {("minute", 3, 1, None)}
    assert versions.rollback(row.pk, two.number, "ann") == ("limits",)
    assert limits(row) == {("minute", 3, 1, None), ("hour", 9, 2, feed.pk)}


def test_a_limit_of_a_feed_that_is_gone_does_not_come_back(db: None) -> None:
    row, feed = build.entity(), build.feed()
    build.limit(entity=row, feed=feed)
    build.limit(entity=row, kind="day")
    chronicle.keep([row], "", "both")
    feed.delete()
    both = versions.versions(row.pk)[0]
    assert versions.rollback(row.pk, both.number, "ann") == ()
    RateLimit.objects.all().delete()
    versions.rollback(row.pk, both.number, "ann")
    assert limits(row) == {("day", 10, 1, None)}


def test_a_version_from_before_limits_were_kept_leaves_them(db: None) -> None:
    row = build.entity(weight=1.0)
    Entity.history.model.objects.update(limits=None)  # type: ignore[attr-defined]
    build.limit(entity=row)
    change(row, weight=2.0)
    new, old = versions.versions(row.pk)
    assert new.fields == ("weight",)
    assert versions.rollback(row.pk, old.number, "") == ("weight",)
    assert limits(row) == {("minute", 10, 1, None)}


def test_going_back_restores_everything_but_whether_it_is_on(
    db: None, heard: list[Happening], django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    User.objects.create_user("ann")
    row = build.entity(slug="owl", username="Owl", system_prompt="Who?", stop=["a"], temperature=0.4)
    first = versions.versions(row.pk)[0].number
    change(row, username="Uhu", system_prompt="What?", stop=["b"], temperature=None)
    switch.disable([row.pk], "resting")
    count = len(versions.versions(row.pk))
    with django_capture_on_commit_callbacks(execute=True):
        assert versions.rollback(row.pk, first, "ann") == ("username", "system_prompt", "temperature", "stop")
    row.refresh_from_db()
    assert (row.username, row.system_prompt, row.stop, row.temperature) == ("Owl", "Who?", ["a"], 0.4)
    assert (row.enabled, row.disabled_reason) == (False, "resting")
    newest = versions.versions(row.pk)[0]
    assert (newest.who, newest.why) == ("ann", f"back to version {first}")
    assert len(versions.versions(row.pk)) == count + 1
    (told,) = heard
    assert (told.kind, told.subject, told.detail["version"]) == ("entity.rolledback", "entity:owl", first)
    assert versions.rollback(row.pk, first, "ann") == ()
    assert len(versions.versions(row.pk)) == count + 1


def test_a_diff_compares_long_texts_by_lines(db: None) -> None:
    row = build.entity(system_prompt="one\ntwo\nthree")
    change(row, system_prompt="one\n2\nthree", weight=3.0)
    new, old = (version.number for version in versions.versions(row.pk))
    told = versions.diff(row.pk, old, new)
    assert told["system_prompt"].lines == ("@@ -1,3 +1,3 @@", " one", "-two", "+2", " three")
    assert (told["weight"].before, told["weight"].after, told["weight"].lines) == (1.0, 3.0, ())
    assert [*versions.diff(row.pk, old)] == ["system_prompt", "weight"]
    assert versions.diff(row.pk, new) == {}
    assert (versions.before(row.pk, new), versions.before(row.pk, old)) == (old, None)


def test_what_is_not_there_is_said(db: None) -> None:
    row, other = build.entity(), build.entity()
    foreign = versions.versions(other.pk)[0].number
    for call in (
        lambda: versions.rollback(row.pk, foreign, ""),
        lambda: versions.diff(row.pk, foreign),
        lambda: versions.rollback(0, 1, ""),
    ):
        with pytest.raises(NoVersion):
            call()


def test_a_version_that_is_not_allowed_any_more_is_refused_whole(db: None) -> None:
    row = build.entity(weight=1.0)
    old = versions.versions(row.pk)[0].number
    change(row, weight=2.0, mood="calm")
    Entity.history.model.objects.filter(history_id=old).update(weight=-1.0)  # type: ignore[attr-defined]
    with pytest.raises(Unsound, match="entity_weight_not_negative"):
        versions.rollback(row.pk, old, "")
    row.refresh_from_db()
    assert (row.weight, row.mood) == (2.0, "calm")


def test_a_plugin_may_keep_a_version_out(db: None, guard: None) -> None:
    row = build.entity(system_prompt="You swear.")
    old = versions.versions(row.pk)[0].number
    change(row, system_prompt="You are kind.")
    with pytest.raises(Refused, match="it would swear"):
        versions.rollback(row.pk, old, "ann")
    row.refresh_from_db()
    assert row.system_prompt == "You are kind."


def test_a_plugin_that_cannot_judge_keeps_the_change_out_and_is_named(db: None, guard: None) -> None:
    row = build.entity(system_prompt="unreadable")
    with pytest.raises(Refused, match="the plugin guard could not judge it: AssertionError: cannot read it"):
        clone.clone(row.pk, "copy", "Copy", "ann")
    assert Entity.objects.count() == 1


def test_a_copy_has_everything_and_is_off(db: None, heard: list[Happening], django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    row = build.entity(slug="owl", stop=["x"], warmup=[{"role": "user", "content": "Hi"}], extra={"_note": 1}, color="001002003")
    feed = build.feed()
    build.limit(entity=row, kind="hour", amount=5, every=3, feed=feed)
    with django_capture_on_commit_callbacks(execute=True):
        copy = Entity.objects.get(pk=clone.clone(row.pk, " uhu ", "Uhu", "ann"))
    assert (copy.slug, copy.username, copy.enabled, copy.disabled_reason) == (
        "uhu", "Uhu", False, "A copy of owl: switch it on when it is ready.",
    )  # fmt: skip
    same = {field.attname for field in Entity._meta.concrete_fields} - {
        "id",
        "slug",
        "username",
        "enabled",
        "disabled_reason",
        "enabled_at",
    }
    assert {name: getattr(copy, name) for name in same} == {name: getattr(row, name) for name in same}
    assert limits(copy) == limits(row) == {("hour", 5, 3, feed.pk)}
    (version,) = versions.versions(copy.pk)
    assert (version.what, version.why) == ("made", "a copy of owl")
    assert len(versions.versions(row.pk)) == 1
    assert [one.kind for one in heard] == ["entity.cloned"]


@pytest.mark.parametrize(
    ("slug", "username", "error"), [("owl", "X", Taken), ("", "X", Unsound), ("x", "y" * 17, Unsound), ("x", "", Unsound)]
)
def test_an_impossible_copy_is_refused(db: None, slug: str, username: str, error: type[Exception]) -> None:
    row = build.entity(slug="owl")
    with pytest.raises(error):
        clone.clone(row.pk, slug, username, "")
    assert Entity.objects.count() == 1


def test_a_switch_is_one_version_and_switching_on_forgives(
    db: None, heard: list[Happening], django_capture_on_commit_callbacks: Any
) -> None:
    row = build.entity()
    with django_capture_on_commit_callbacks(execute=True):
        assert switch.disable([row.pk], "5 answers in a row failed") == 1
        assert switch.enable([row.pk], "ann") == 1
        assert switch.enable([row.pk], "ann") == 0
    assert [version.why for version in versions.versions(row.pk)][:2] == ["switched on by ann", "5 answers in a row failed"]
    assert len(versions.versions(row.pk)) == 3
    row.refresh_from_db()
    assert row.enabled_at is not None
    assert [(one.kind, one.level) for one in heard] == [("entity.disabled", "warning"), ("entity.enabled", "info")]
