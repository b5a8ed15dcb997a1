"""Every key of the configuration has an effect on a decision, a request, a post, a plan or a limit, or a warning that it has none."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cluster.address import endpoint, timeouts
from cluster.ahead import interval
from cluster.catalogue import spent
from cluster.models import ClusterPolicy, Generation, Server
from cluster.plan import policy_view, view
from conversations import cycle
from conversations import post as post_verb
from conversations.models import Feed, Room
from entities import spend
from entities.models import Entity
from swwbot_site.config import idle, runner, tables
from swwbot_site.config.apply import Diff
from swwbot_site.config.problems import step
from swwbot_site.lib import clock
from tests import build
from tests.logic.conversations.values import MS, bot
from tests.verbs.config import effects
from tests.verbs.config.effects import (
    Case,
    Shown,
    answers,
    body,
    common,
    merged,
    nested,
    part,
    persona,
    post,
    refused,
    request,
    shape,
    wish,
    within,
)
from tests.verbs.retention.ages import whole
from tests.verbs.retention.test_what_stays import GOES

Put = Callable[..., Diff]
AT_LARGE = {"responseChance": 1}
TURNS = {"promptFormat": "turns"}
JOINED = {"promptFormat": "joined"}
HI = [{"role": "user", "content": "Warm?"}, {"role": "assistant", "content": "Warm!"}]
SIMILAR = "The owl sits in the old oak tree on the hill tonight and looks at the moon"
BOT: Any = {"kind": "AI", "username": "Crow"}


def looks(policy: ClusterPolicy) -> float:
    """Seconds between two looks at a server."""
    return interval(policy.reconcile_interval_s, policy.monitor, policy.health_check_interval_s)


ENTITY: dict[str, Case] = {
    "id": Case("uhu", answers(params={"entity": "uhu"}), False, True),
    "enabled": Case(False, answers("Owl?"), True, False),
    "disabledReason": Case("gone fishing", lambda who: "gone fishing" in refused(who), False, True, {"enabled": False}),
    "username": Case("Uhu", answers("Uhu, are you there?"), False, True),
    "aliases": Case(["Strix"], answers("Strix, are you there?"), False, True),
    "triggers": Case(["!hoot"], answers("please !hoot now"), False, True),
    "color": Case("255000000", wish("color"), "001002003", "255000000"),
    "model": Case("maker/small", wish("model"), "", "maker/small"),
    "baseModel": Case("eternal", wish("model"), "", "eternal@f16"),
    "defaultQuantization": Case("q8_0", wish("model"), "eternal@f16", "eternal@q8_0", {"baseModel": "eternal"}),
    "promptFormat": Case("turns", shape, ["system", "user"], ["system", "user", "assistant", "user"]),
    "systemRole": Case("assistant", shape, ["system", "user"], ["assistant", "user"], {"promptFormat": "blob"}),
    "systemPrompt": Case("You are a cat.", within("You are a cat."), False, True),
    "userPrompt": Case("Hoot.", body("messages", 1, "content"), "Speak.", "Hoot."),
    "nom": Case(1, within("hi all"), True, False),
    "messagesToRead": Case(1, within("hi all"), True, False),
    "contextWindow": Case(1, within("hi all"), True, False),
    "addNewlineToContext": Case(True, lambda who: request(who)["messages"][-1]["content"][-1], "?", "\n", JOINED),
    "addEntityUsername": Case(True, lambda who: request(who)["messages"][-1]["content"].endswith("\nOwl: "), False, True, JOINED),
    "keepNames": Case(False, within("Ann: what is time?"), True, False, TURNS),
    "warmup": Case(HI, within("Warm!"), False, True, TURNS),
    "initContext": Case({"messages": HI}, within("Warm!"), False, True, TURNS),
    "temperature": Case(0.6, body("sampling", "temperature"), None, 0.6),
    "maxTokens": Case(77, body("max_tokens"), None, 77),
    "max_tokens": Case(77, body("max_tokens"), None, 77),
    "top_p": Case(0.5, body("sampling", "top_p"), None, 0.5),
    "top_k": Case(40, body("sampling", "top_k"), None, 40),
    "min_p": Case(0.05, body("sampling", "min_p"), None, 0.05),
    "repeat_penalty": Case(1.42, body("sampling", "repeat_penalty"), None, 1.42),
    "frequency_penalty": Case(0.1, body("sampling", "frequency_penalty"), 0.3, 0.1),
    "presence_penalty": Case(0.1, body("sampling", "presence_penalty"), 0.3, 0.1),
    "topP": Case(0.5, body("sampling", "top_p"), None, 0.5),
    "topK": Case(40, body("sampling", "top_k"), None, 40),
    "minP": Case(0.05, body("sampling", "min_p"), None, 0.05),
    "repeatPenalty": Case(1.42, body("sampling", "repeat_penalty"), None, 1.42),
    "frequencyPenalty": Case(0.1, body("sampling", "frequency_penalty"), 0.3, 0.1),
    "presencePenalty": Case(None, body("sampling", "presence_penalty"), 0.3, None),
    "stop": Case(["\\nHuman:"], body("stop"), [], ["\nHuman:"]),
    "filterOut": Case(["Indeed, "], post("Indeed, it is late."), "Indeed, it is late.", "it is late."),
    "trimAfter": Case(["###"], post("It is late. ### And more"), "It is late. ### And more", "It is late."),
    "trimWhitespace": Case(False, post("It is  late."), "It is late.", "It is  late."),
    "newlines": Case("first", post("It is late.\nGood night."), "It is late.\nGood night.", "It is late."),
    "links": Case("drop", post("See https://a.example now."), "See https://a.example now.", "<nothing>"),
    "markup": Case("strip", post("It is **late**."), "It is **late**.", "It is late."),
    "maxSimilarity": Case(1.0, post(SIMILAR, recent=[f"{SIMILAR} here"]), "<nothing>", SIMILAR),
    "responseChance": Case(0.9, answers("Hello"), False, True),
    "defaultPriority": Case(7, wish("priority"), 50, 7),
    "conversationSettings.respondsToHumanMessages": Case(False, answers("Hello"), True, False, AT_LARGE),
    "conversationSettings.respondsToAllAiMessages": Case(True, answers("Hello", **BOT), False, True, AT_LARGE),
    "conversationSettings.respondsToTheseAiOnly": Case(["crow"], answers("Hello", **BOT), False, True, AT_LARGE),
    "maxAgeSeconds": Case(100, answers("Owl?", timestamp=MS - 200_000), True, False),
    "useTraits": Case(True, within("sarcastic"), False, True, {"traits": {"style": "sarcastic"}}),
    "traits.style": Case("sarcastic", within("sarcastic"), False, True, {"useTraits": True}),
    "traits.mood": Case("gloomy", within("gloomy"), False, True, {"useTraits": True}),
}

ENTITY_SHOWN: dict[str, Shown] = {
    "weight": Shown(3, "weight", 3.0, "tests/verbs/conversations/test_deciding.py", "weight"),
    "whenLimited": Shown("drop", "when_limited", "drop", "tests/verbs/conversations/test_limits.py"),
    "holdForApproval": Shown(True, "hold", True, "tests/verbs/conversations/test_delivering.py", "hold=True"),
    "maxFailures": Shown(2, "max_failures", 2, "tests/verbs/conversations/test_strikes.py"),
    "traits.interests": Shown(["moon"], "interests", ("moon",), "tests/verbs/conversations/test_deciding.py"),
}

SERVER: dict[str, Case] = {
    "enabled": Case(False, lambda row: view(row, effects.cluster({})).why_not, "is online ()", "is disabled"),
    "ip": Case("10.0.0.9", lambda row: endpoint(row).url, "http://10.0.0.1:1234", "http://10.0.0.9:1234"),
    "port": Case(8080, lambda row: endpoint(row).url, "http://10.0.0.1:1234", "http://10.0.0.1:8080"),
    "url": Case("http://far.example/lm", lambda row: endpoint(row).url, "http://10.0.0.1:1234", "http://far.example/lm", {"ip": None}),
    "token": Case("secret", lambda row: endpoint(row).token, "", "secret"),
    "dialect": Case("ollama", lambda row: endpoint(row).dialect, "", "ollama"),
    "region": Case("attic", lambda row: view(row, effects.cluster({"region": "attic"})).far, True, False),
    "weight": Case(2, lambda row: view(row, effects.cluster({})).weight, 1.0, 2.0),
    "draining": Case(True, lambda row: view(row, effects.cluster({})).usable, True, False),
    "capabilities.maxMemory": Case(40, lambda row: view(row, effects.cluster({})).budget_gb > 60, True, False),
    "capabilities.supportedFormats": Case(["MLX"], lambda row: view(row, effects.cluster({})).formats, (), ("MLX",)),
    "capabilities.preferredModels": Case(["A/B"], lambda row: view(row, effects.cluster({})).preferred, (), ("a/b",)),
    "capabilities.maxConcurrentModels": Case(2, lambda row: view(row, effects.cluster({})).max_models, None, 2),
    "dailyBudget": Case(5, lambda row: view(row, effects.cluster({}), spent=6.0).well, True, False),
}

SERVER_SHOWN: dict[str, Shown] = {
    "name": Shown("mini", "name", "mini", "tests/verbs/cluster/test_queue.py", "pin"),
    "slots": Shown(3, "slots", 3, "tests/verbs/cluster/test_reconcile.py", "slots"),
}

SIM = "tests/simulation/test_cluster_"
CLUSTER: dict[str, Case] = {
    "loadBalancingStrategy": Case("round-robin", lambda row: policy_view(row).strategy, "expected-time", "round-robin"),
    "region": Case("attic", lambda row: view(effects.server({}), row).far, False, True),
    "overdue": Case(7000, lambda row: policy_view(row).overdue_s, 300.0, 7.0),
    "minResidency": Case(7000, lambda row: policy_view(row).min_residency_s, 2.0, 7.0),
    "modelUnloadDelay": Case(7000, lambda row: policy_view(row).unload_delay_s, 300.0, 7.0),
    "keepModelsLoaded": Case(False, lambda row: policy_view(row).keep_models_loaded, True, False),
    "preload": Case(False, lambda row: policy_view(row).preload, True, False),
    "connectTimeout": Case(7000, lambda row: timeouts(row).connect_s, 3.0, 7.0),
    "probeTimeout": Case(7000, lambda row: timeouts(row).probe_s, 5.0, 7.0),
    "modelLoadTimeout": Case(7000, lambda row: timeouts(row).load_s, 600.0, 7.0),
    "firstTokenTimeout": Case(7000, lambda row: timeouts(row).first_token_s, 120.0, 7.0),
    "requestTimeout": Case(7000, lambda row: timeouts(row).idle_s, 60.0, 7.0),
    "totalTimeout": Case(7000, lambda row: timeouts(row).total_s, 600.0, 7.0),
    "healthMonitor": Case(True, looks, 30.0, 10.0),
    "healthCheckInterval": Case(7000, looks, 30.0, 7.0),
    "reconcileInterval": Case(7000, looks, 30.0, 7.0),
}

CLUSTER_SHOWN: dict[str, Shown] = {
    "ageing": Shown(7000, "ageing_s", 7.0, "tests/verbs/cluster/test_queue.py"),
    "maxRetries": Shown(1, "max_attempts", 2, "tests/verbs/cluster/test_finish.py", "attempts"),
    "hedgeAfter": Shown(7000, "hedge_after_s", 7.0, "tests/verbs/cluster/test_hedge.py"),
    "returnTime": Shown(7000, "return_s", 7.0, "tests/verbs/cluster/test_plan.py"),
    "pollInterval": Shown(7000, "load_poll_interval_s", 7.0, f"{SIM}life.py"),
    "maxLoadAttempts": Shown(7, "max_load_attempts", 7, f"{SIM}life.py"),
    "breakerFailures": Shown(7, "breaker_failures", 7, f"{SIM}health.py"),
    "breakerPause": Shown(7000, "breaker_pause_s", 7.0, f"{SIM}health.py"),
    "cacheTtl": Shown(0, "cache_ttl_s", 0.0, "tests/verbs/cluster/test_cache.py"),
    "cacheEntries": Shown(7, "cache_entries", 7, "tests/verbs/cluster/test_queue.py"),
    "maxWaiting": Shown(7, "max_waiting", 7, "tests/doors/gateway/test_waiting.py"),
    "scaleOutWait": Shown(7000, "scale_out_wait_s", 7.0, "tests/logic/cluster/test_scaling.py", "oldest_s"),
    "scaleInIdle": Shown(7000, "scale_in_idle_s", 7.0, "tests/logic/cluster/test_scaling.py", "idle"),
    "scaleWebhook": Shown("http://hook", "scale_webhook", "http://hook", "tests/verbs/cluster/test_scaling.py"),
}

TALKING = "tests/verbs/conversations/test_"
FEED_SHOWN: dict[str, Shown] = {
    "generation": Shown("kv", "generation", "kv", f"{TALKING}listening.py"),
    "priorityDirection": Shown("high-first", "priority_direction", "high-first", "tests/wire/feed/test_wire.py"),
    "dryRun": Shown(True, "dry_run", True, f"{TALKING}delivering.py"),
    "pollingInterval": Shown(900, "poll_interval_s", 0.9, f"{TALKING}listening.py", "poll"),
    "overlap": Shown(900, "overlap_s", 0.9, f"{TALKING}listening.py"),
    "postInterval": Shown(900, "post_interval_s", 0.9, f"{TALKING}delivering.py"),
    "exempt": Shown(False, "exempt", False, f"{TALKING}delivering.py"),
    "lostAfter": Shown(900, "lost_after_s", 0.9, f"{TALKING}delivering.py"),
    "maxText": Shown(90, "max_text", 90, f"{TALKING}cleaning.py"),
    "maxBotRun": Shown(2, "max_bot_run", 2, f"{TALKING}deciding.py"),
    "maxRepliers": Shown(2, "max_repliers", 2, f"{TALKING}deciding.py"),
    "strategy": Shown("random", "strategy", "random", f"{TALKING}deciding.py"),
    "botDecay": Shown(0.5, "bot_decay", 0.5, f"{TALKING}deciding.py"),
    "windowGap": Shown(900, "window_gap_s", 0.9, f"{TALKING}analysis.py"),
}

ROOM_SHOWN: dict[str, Shown] = {
    "domain": Shown("attic", "domain", "attic", f"{TALKING}deciding.py"),
    "entities": Shown(["owl"], "entities", ["owl"], f"{TALKING}deciding.py"),
    "maxRepliers": Shown(1, "max_repliers", 1, f"{TALKING}deciding.py"),
    "maxBotRun": Shown(1, "max_bot_run", 1, f"{TALKING}deciding.py"),
    "strategy": Shown("random", "strategy", "random", f"{TALKING}deciding.py"),
    "silence": Shown(9000, "silence_s", 9.0, f"{TALKING}analysis.py"),
}

GLOBAL_SHOWN: dict[str, Shown] = {
    "requireHumanSeconds": Shown(60, "require_human_s", 60, f"{TALKING}deciding.py"),
    "globalStopSequences": Shown(["\\n"], "stop", ("\n",), f"{TALKING}composing.py", "stop"),
    "warmup": Shown(HI, "warmup", HI, f"{TALKING}composing.py"),
    "initContext": Shown({"messages": HI}, "warmup", HI, f"{TALKING}composing.py"),
    "secondTry": Shown(False, "try_again", False, f"{TALKING}cleaning.py"),
}

KEPT = {
    "messagesDays": ("messages", GOES["a message that nobody answered"]),
    "detailsDays": ("verdicts", GOES["a message that nobody answered"]),
    "requestsDays": ("requests", GOES["a request"]),
    "permitsDays": ("permits", GOES["a permit"]),
    "placementsDays": ("placements", GOES["a model that left memory"]),
    "eventsDays": ("events", GOES["an event"]),
    "maxEvents": ("events", lambda: [build.event() for _ in range(11)]),
    "deliveriesDays": ("deliveries", GOES["a delivery"]),
    "recordsDays": ("engines", GOES["an engine that ended"]),
}
"""What goes when 10 are kept, and what makes some of it that is older than 10 days, or more than 10."""

GLOBAL: dict[str, Case] = {
    "globalFilterOut": Case(["Indeed, "], common("Indeed, it is late."), "Indeed, it is late.", "it is late."),
    "globalTrimAfter": Case(["###"], common("It is late. ### And more"), "It is late. ### And more", "It is late."),
}

LIMITS = {
    "rateLimits.minSecondsBetweenPosts": 600,
    "rateLimits.maxPostsPerMinute": 1,
    "rateLimits.maxPostsPerHour": 1,
    "rateLimits.maxPostsPerDay": 1,
    "rateLimits.rules": [{"posts": 1, "every": 3, "per": "hour"}],
}
"""A second post at once is refused by each of them."""

ALONE = {
    *("preferredServer", "cacheAnswers", "priceIn", "priceOut", "name", "url", "enabled", "domain", "origin"),
    "quantizations",
    "rooms",
    "defaultModel",
    "pollingInterval",
    "maxRetries",
    "defaultPriority",
    "version",
    "escapes",
}
"""Keys with a test of their own below."""


@pytest.mark.parametrize("key", ENTITY)
def test_an_entitys_key_changes_what_it_does(key: str) -> None:
    case = ENTITY[key]
    without = case.seen(persona(case.besides))
    then = case.seen(persona(merged(case.besides, nested(key, case.value))))
    assert (without, then) == (case.without, case.then)


@pytest.mark.parametrize("key", SERVER)
def test_a_servers_key_changes_the_plan_or_the_request(key: str) -> None:
    case = SERVER[key]
    raw = nested(key, case.value)
    said = {name: value for name, value in merged(case.besides, raw).items() if value is not None}
    row = effects.server(said) if key != "url" else None
    if row is None:
        (found,) = effects.document({"lmStudioServers": [{"name": "mac", "url": case.value}]}).of("server")
        assert found.said["url"] == case.then
        return
    assert (case.seen(effects.server({})), case.seen(row)) == (case.without, case.then)


@pytest.mark.parametrize("key", GLOBAL)
def test_a_setting_of_all_changes_what_is_posted(key: str) -> None:
    case = GLOBAL[key]
    assert (case.seen(effects.talk({})), case.seen(effects.talk({key: case.value}))) == (case.without, case.then)


@pytest.mark.parametrize("key", CLUSTER)
def test_a_setting_of_the_cluster_changes_the_plan_or_the_limits_of_a_request(key: str) -> None:
    case = CLUSTER[key]
    assert (case.seen(effects.cluster({})), case.seen(effects.cluster({key: case.value}))) == (case.without, case.then)


GROUPS: Mapping[str, tuple[Mapping[str, Shown], Callable[[str, Any], Mapping[str, Any]]]] = {
    "entity": (ENTITY_SHOWN, lambda key, value: part({"entities": [merged(effects.OWL, nested(key, value))]}, "entity")),
    "server": (SERVER_SHOWN, lambda key, value: part({"lmStudioServers": [{"name": "mac", "ip": "10.0.0.1", key: value}]}, "server")),
    "cluster": (CLUSTER_SHOWN, lambda key, value: part({"clusterSettings": {key: value}}, "policy")),
    "feed": (FEED_SHOWN, lambda key, value: part({"feeds": [{"url": "http://a.example/api", key: value}]}, "feed")),
    "room": (
        ROOM_SHOWN,
        lambda key, value: part({"feeds": [{"url": "http://a.example", "rooms": [{"domain": "attic", key: value}]}]}, "feed")["rooms"][0],
    ),
    "global": (GLOBAL_SHOWN, lambda key, value: part({"globalSettings": {key: value}}, "conversation")),
}


@pytest.mark.parametrize(("group", "key"), [(group, key) for group, (cases, _) in GROUPS.items() for key in cases])
def test_a_key_sets_a_column_that_another_test_shows_at_work(group: str, key: str) -> None:
    cases, read = GROUPS[group]
    case = cases[key]
    assert read(key, case.value)[case.column] == case.then
    assert any((case.word or case.column) in source for source in effects.tests_of(case.where)), f"no test in {case.where} shows {key}"


@pytest.mark.parametrize("whose", ["entity", "global"])
@pytest.mark.parametrize("key", LIMITS)
def test_a_limit_refuses_a_second_post(put: Put, key: str, whose: str) -> None:
    said = nested(key, LIMITS[key])
    put({"entities": [merged(effects.OWL, said if whose == "entity" else {})], "globalSettings": said if whose == "global" else {}})
    owl, now = Entity.objects.get(), clock.now()
    assert spend.reserve(owl.pk, now).permit_id is not None
    assert spend.reserve(owl.pk, now).permit_id is None
    put({"entities": [effects.OWL]})
    assert spend.reserve(owl.pk, now).permit_id is not None


@pytest.mark.parametrize("key", KEPT)
def test_what_is_kept_for_fewer_days_goes(put: Put, key: str) -> None:
    what, made = KEPT[key]
    forever = {field.key: 0 for field in tables.RETENTION}
    made()
    put({"retention": forever})
    assert not whole()
    put({"retention": {**forever, key: 10}})
    assert whole()[what] > 0


def test_a_request_is_queued_for_the_server_and_with_the_sharing_that_the_entity_says(put: Put) -> None:
    build.model(key="maker/small")
    said = {"preferredServer": "mini", "cacheAnswers": False, "model": "maker/small", "defaultPriority": 7}
    put(
        {
            "lmStudioServers": [{"name": "mini", "ip": "10.0.0.1"}],
            "entities": [{**effects.OWL, **said}, {**effects.OWL, "id": "crow", "username": "Crow", "model": "maker/small"}],
        }
    )
    feed = build.feed()
    for slug in ("owl", "crow"):
        build.message(feed=feed, text=f"{slug}, what do you think?", username=f"For {slug}")
    cycle.judge(clock.now())
    owl, crow = (Generation.objects.get(caller=f"entity:{slug}") for slug in ("owl", "crow"))
    assert (owl.pin and owl.pin.name, bool(owl.request_hash), owl.priority) == ("mini", False, 7)
    assert (crow.pin, bool(crow.request_hash), crow.priority) == (None, True, 50)


def test_what_a_server_costs_is_counted_in_both_directions(put: Put) -> None:
    put({"lmStudioServers": [{"name": "cloud", "ip": "10.0.0.1", "priceIn": 2, "priceOut": 5, "dailyBudget": 9}]})
    now = clock.now()
    build.generation(state="done", server=Server.objects.get(), ended_at=now, prompt_tokens=1_000_000, completion_tokens=2_000_000)
    assert spent(now) == {Server.objects.get().pk: 12.0}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_post_goes_to_its_feeds_address_as_of_its_domain_and_origin_unless_it_is_off(put: Put, enabled: bool) -> None:
    said = {"name": "main", "url": "http://b.example/api", "domain": "b.example", "origin": "http://o.example", "generation": "do"}
    put({"feeds": [{**said, "enabled": enabled}]})
    build.reply(state="ready", message=build.message(feed=Feed.objects.get(name="main")))
    told = [(one.endpoint.url, one.endpoint.origin, one.outgoing.domain) for one in post_verb.claim(1, clock.now())]
    assert told == ([("http://b.example/api", "http://o.example", "b.example")] if enabled else [])


def test_the_rest_of_what_stands_alone(put: Put) -> None:
    build.feed(name="seeded", domain="saywhatwant.app")
    put(
        {
            "version": "7",
            "escapes": "literal",
            "entities": [merged(effects.OWL, {"stop": ["\\n"], "baseModel": "a", "quantizations": {"f16": {"enabled": False}}})],
            "globalSettings": {"defaultModel": "maker/small"},
            "botSettings": {"pollingInterval": 900},
            "queueSettings": {"maxRetries": 1, "defaultPriority": 9},
            "feeds": [{"name": "main", "url": "http://a.example/api", "rooms": [{"domain": "attic"}]}],
        }
    )
    owl = Entity.objects.get()
    assert (owl.stop, owl.priority) == (["\\n"], 9)
    assert Room.objects.get().feed.name == "main"
    assert dict(Feed.objects.values_list("name", "poll_interval_s")) == {"seeded": 0.9, "main": 0.9}
    policy = effects.document({"queueSettings": {"maxRetries": 1}, "globalSettings": {"defaultModel": "m"}}).of("policy")[0].said
    assert (policy["max_attempts"], policy["default_model"]) == (2, "m")
    assert effects.document({"version": 7}).version == "7"
    offered = effects.document({"entities": [merged(effects.OWL, {"baseModel": "a", "quantizations": {"f16": {"enabled": False}}})]})
    assert any("does not offer f16" in problem.text for problem in offered.problems)


def test_a_bots_line_is_not_answered_by_who_answers_nobody() -> None:
    assert bot("Hello", "Crow").kind == "AI"
    assert not answers("Hello", **BOT)(persona({}))


TABLES: Mapping[str, tuple[Any, set[str]]] = {
    "entity": (tables.ENTITY, {*ENTITY, *ENTITY_SHOWN, *LIMITS}),
    "server": (tables.SERVER, {*SERVER, *SERVER_SHOWN}),
    "cluster": (tables.CLUSTER, {*CLUSTER, *CLUSTER_SHOWN}),
    "feed": (tables.FEED, {*FEED_SHOWN}),
    "room": (tables.ROOM, {*ROOM_SHOWN}),
    "retention": (tables.RETENTION, {*KEPT}),
    "global": (tables.GLOBAL, {*GLOBAL, *GLOBAL_SHOWN, *LIMITS}),
    "bot": (runner.BOT, set()),
    "queue": (runner.QUEUE, set()),
    "top": (runner.TOP, set()),
    "worker": (idle.WORKER, set()),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_has_a_case_here_or_a_warning(name: str) -> None:
    fields, cases = TABLES[name]
    assert {field.key for field in fields if not field.dead} - cases - ALONE == set()
    assert cases - {field.key for field in fields} == set()


DEAD = [(name, field.key) for name, (fields, _) in TABLES.items() for field in fields if field.dead]
PLACES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "entity": lambda raw: {"entities": [{**effects.OWL, **raw}]},
    "global": lambda raw: {"globalSettings": raw},
    "bot": lambda raw: {"botSettings": raw},
    "queue": lambda raw: {"queueSettings": raw},
    "top": lambda raw: raw,
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, key in DEAD if name in PLACES])
def test_a_key_without_effect_says_so(name: str, key: str) -> None:
    found = effects.document(PLACES[name](nested(key, 1)))
    named = step("$", key.rpartition(".")[2])[1:]
    assert any(problem.path.endswith(named) and "has no effect: " in problem.text for problem in found.problems)


def test_files_without_effect_are_the_only_other_place_of_dead_keys() -> None:
    assert {name for name, _ in DEAD} == {*PLACES, "worker"}  # tests/logic/config/test_folder.py shows those
