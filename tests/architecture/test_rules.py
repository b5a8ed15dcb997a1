"""The rules R1 to R9 of the house, as far as import-linter cannot say them. Each test names every place that breaks its rule."""

import ast
import sys
from collections.abc import Iterable, Iterator

from tests.architecture.source import APPS, LIMIT, Import, Module, modules, nothing, ours, under

DOORS_IN = {
    "cluster": ("queue", "read", "events", "logic"),
    "entities": ("read", "choose", "spend", "switch", "events", "logic"),
    "conversations": (),
}
"""What another app may enter an app by."""

OUTER = ("tasks", "admin", "api", "views")
"""The doors that only urls and the roof may open."""

CONTENTS = ("cycle", "serve", "engine", "preview", "rehearse")
"""The verbs that are tables of contents: they alone may call their siblings."""

NO_VERBS = (
    *(
        "account",
        "address",
        "agenda",
        "ahead",
        "admin",
        "api",
        "apps",
        "cache",
        "catalogue",
        "events",
        "lmstudio",
        "feed",
        "figures",
        "health",
        "intake",
        "ledger",
        "logic",
        "metrics",
        "migrations",
        "models",
        "outbox",
        "plugin",
        "portable",
        "programs",
        "queue",
        "queued",
        "sight",
        "sitting",
        "read",
        "shelf",
        "strategies",
    ),
    *("tasks", "views"),
    *("bounds", "chronicle", "errors", "objections", "strikes", "tidying"),
    *("ensembles", "voicing"),
    *("behaviors", "company", "compose", "stage", "weighing", "windows"),
    *("asking", "imagined", "recorded"),
)
"""What stands at an app's root beside its verbs."""

PEERS = ("cluster.lmstudio", "conversations.feed")
IMPURE_IN_PEERS = ("client", "conversing", "emulator", "streaming")
"""A peer's modules that are no wire formats: they wait, and drive the connection."""

IMPURE_IN_CONFIG = ("apply", "export", "ledger", "report", "sheaf", "watch", "whatif")
PURE_IN_GATEWAY = ("wishes", "judging", "keeping", "shapes", "assembly")
PURE_LIB = ("swwbot_site.lib.errors",)
"""The part of the ground that is standard library only."""

SIDE_EFFECTS = frozenset(
    {"logging", "time", "random", "secrets", "socket", "ssl", "http", "subprocess", "threading", "asyncio", "urllib.request"}
)
"""What of the standard library a noun must not know."""


def pure(module: Module) -> bool:
    """Whether the module is a noun: logic, a wire format, or the configuration document."""
    if module.app in APPS and under(module.room, "logic"):
        return True
    if under(module.name, "swwbot_site.gateway"):
        return module.name.rpartition(".")[2] in PURE_IN_GATEWAY
    if under(module.name, "swwbot_site.config"):
        return module.name.rpartition(".")[2] not in IMPURE_IN_CONFIG
    return any(under(module.name, peer) and not under(module.name, *(f"{peer}.{room}" for room in IMPURE_IN_PEERS)) for peer in PEERS)


def verb(module: Module) -> bool:
    """Whether the module is a verb of its app."""
    return module.app in APPS and bool(module.room) and "." not in module.room and module.room not in NO_VERBS


def none(wrong: Iterable[tuple[Module, Import]]) -> None:
    """Fail with every place that is wrong."""
    nothing(f"{module.at(found.line)} imports {found.target}" for module, found in wrong)


def own(module: Module) -> Iterator[tuple[Import, str]]:
    """What the module imports of ours."""
    for found in module.imports:
        if target := ours(found.target):
            yield found, target


def test_r1_the_ground_imports_nothing_of_ours() -> None:
    ground = [module for module in modules() if under(module.name, "swwbot_site.lib")]
    assert ground
    none((m, found) for m in ground for found, target in own(m) if not under(target, "swwbot_site.lib"))


def test_r2_cluster_and_entities_do_not_know_each_other_and_nobody_below_knows_those_above() -> None:
    below = {"cluster": ("entities", "conversations"), "entities": ("cluster", "conversations"), "conversations": ()}
    wrong = (
        (module, found)
        for module in modules()
        if module.app in APPS
        for found, target in own(module)
        if under(target, *below[module.app]) or (under(target, "swwbot_site") and not under(target, "swwbot_site.lib"))
    )
    none(wrong)


def test_r3_an_app_is_entered_by_its_doors() -> None:
    wrong = (
        (module, found)
        for module in modules()
        if module.app in APPS
        for found, target in own(module)
        if (app := target.partition(".")[0]) in APPS and app != module.app
        if not under(target, *(f"{app}.{door}" for door in DOORS_IN[app]))
    )
    none(wrong)


def test_r4_nouns_know_only_the_standard_library_and_each_other() -> None:
    nouns = {module.name for module in modules() if pure(module)} | set(PURE_LIB)
    assert nouns

    def allowed(found: Import) -> bool:
        target = ours(found.target)
        if target:
            return target in nouns or any(noun.startswith(f"{target}.") for noun in nouns)
        return found.target.partition(".")[0] in sys.stdlib_module_names and not any(under(found.target, name) for name in SIDE_EFFECTS)

    wrong = ((m, found) for m in modules() if m.name in nouns for found in m.imports if not found.typing and not allowed(found))
    none(wrong)


def test_r4_nouns_never_ask_what_time_it_is() -> None:
    asked = [
        f"{module.at(node.lineno)} {ast.unparse(node)}"
        for module in modules()
        if pure(module)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("now", "utcnow", "today")
    ]
    nothing(asked)


def test_r5_only_clients_speak_http() -> None:
    def may(module: Module) -> bool:
        # The benchmarks hold our client against httpx's own, and the gateway against no gateway.
        return module.name in (
            "swwbot_site.lib.http",
            "swwbot_site.bench.transport",
            "swwbot_site.bench.gateway",
            *(f"{peer}.client" for peer in PEERS),
        )

    emulators = tuple(f"{peer}.emulator" for peer in PEERS)
    wrong = (
        (module, found)
        for module in modules()
        if not may(module) and not under(module.name, *emulators)
        for found in module.imports
        if not found.typing and under(found.target, "httpx", "aiohttp", "requests", "urllib.request", "http.client")
    )
    none(wrong)


def test_r5_only_tasks_and_one_module_of_the_ground_know_the_task_queue() -> None:
    users = [(m, found) for m in modules() for found in m.imports if under(found.target, "django_q") and not m.name.endswith(".tasks")]
    ground = {module.name for module, _ in users if under(module.name, "swwbot_site.lib")}
    assert len(ground) <= 1
    none((module, found) for module, found in users if module.name not in ground)


def test_r6_models_import_the_ground_their_own_models_and_their_own_lifecycle() -> None:
    wrong = (
        (module, found)
        for module in modules()
        if module.app in APPS and under(module.room, "models")
        for found, target in own(module)
        if not under(target, "swwbot_site.lib", f"{module.app}.models", f"{module.app}.logic.lifecycle")
    )
    none(wrong)


def test_r7_nobody_imports_a_door_but_urls_and_the_roof() -> None:
    def door(target: str) -> bool:
        app, _, room = target.partition(".")
        return (app in APPS and under(room, *OUTER)) or under(target, "swwbot_site.management.commands")

    def inside(module: Module, target: str) -> bool:
        return module.app == target.partition(".")[0] and module.room.partition(".")[0] == target.split(".")[1]

    wrong = (
        (module, found)
        for module in modules()
        if module.app != "swwbot_site" and not module.room.endswith("urls") and module.room != "apps"
        for found, target in own(module)
        if door(target) and not inside(module, target)
    )
    none(wrong)


def test_r8_a_verb_calls_no_sibling_unless_it_is_a_table_of_contents() -> None:
    verbs = {module.name for module in modules() if verb(module)}
    wrong = (
        (module, found)
        for module in modules()
        if module.name in verbs and module.room not in CONTENTS
        for found, target in own(module)
        if target in verbs and target != module.name and under(target, module.app)
    )
    none(wrong)


def test_r9_imports_stand_at_the_top() -> None:
    # Django forbids an app's configuration to import rows before every app is known.
    wrong = ((m, found) for m in modules() if m.path.name != "apps.py" for found in m.imports if found.inner)
    none(wrong)


def test_r9_no_module_is_longer_than_the_limit() -> None:
    nothing(f"{module.at(1)} has {module.lines} lines" for module in modules() if module.lines > LIMIT)
