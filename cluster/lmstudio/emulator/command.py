"""The options of `manage.py emulate lmstudio`, and the loop behind it."""

import argparse
import asyncio
import json
import signal
from collections.abc import Iterable, Mapping

from cluster.lmstudio.emulator.habits import PROFILES
from cluster.lmstudio.emulator.server import MODELS, Emulator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the emulator's options."""
    parser.add_argument("--port", type=int, default=1234, help="port to listen on, 0 for a free one (default 1234)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--profile", choices=list(PROFILES), default="0.4.25", help="which version or kind of server (default 0.4.25)")
    parser.add_argument("--memory-gb", type=float, default=64, help="memory for models, GB (default 64)")
    parser.add_argument("--models", nargs="*", default=list(MODELS), metavar="KEY:GB[:FORMAT]", help="the models it has on disk")
    parser.add_argument("--loaded", nargs="*", default=[], metavar="KEY", help="models in memory from the start")
    parser.add_argument("--load-gbps", type=float, default=2.0, help="GB a load reads a second, 0 for instant (default 2)")
    parser.add_argument("--load-seconds", type=float, default=0.0, help="seconds every load takes on top (default 0)")
    parser.add_argument("--tokens-per-s", type=float, default=60.0, help="tokens a second of the machine, 0 for instant (default 60)")
    parser.add_argument("--first-token-s", type=float, default=0.2, help="seconds to the first token (default 0.2)")
    parser.add_argument("--parallel", type=int, help="predictions at once on one instance (default: the profile's)")
    parser.add_argument("--jit", action=argparse.BooleanOptionalAction, default=None, help="requests load their model")
    parser.add_argument("--auth", action="store_true", help="ask for the API token sk-lm-Emu1ated:abcdefghij0123456789")
    parser.add_argument("--keepalive-s", type=float, default=5.0, help="idle seconds after which it hangs up (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="what the answers depend on (default 1)")
    parser.add_argument("--habit", action="append", default=[], metavar="NAME=VALUE", help="switch any habit; see GET /emulator/state")


def handle(options: Mapping[str, object]) -> None:
    """Runs an emulator with parsed options until it is told to stop. Raises ValueError for what they cannot mean."""
    habits: dict[str, object] = {name: options[name] for name in ("load_gbps", "load_seconds", "tokens_per_s", "first_token_s")}
    habits |= {name: options[name] for name in ("parallel", "jit") if options.get(name) is not None}
    habits |= {"auth": True} if options["auth"] else {}
    habits |= dict(_habit(text) for text in _texts(options["habit"]))
    run(
        port=int(str(options["port"])),
        host=str(options["host"]),
        profile=str(options["profile"]),
        memory_gb=float(str(options["memory_gb"])),
        models=_texts(options["models"]),
        loaded=_texts(options["loaded"]),
        keepalive_s=float(str(options["keepalive_s"])),
        seed=int(str(options["seed"])),
        habits=habits,
    )


def run(
    *,
    port: int = 1234,
    host: str = "127.0.0.1",
    profile: str = "0.4.25",
    memory_gb: float = 64,
    models: Iterable[str] = MODELS,
    loaded: Iterable[str] = (),
    keepalive_s: float = 5.0,
    seed: int = 1,
    habits: Mapping[str, object] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then stops within two seconds. Blocks; prints the address once it listens."""
    emulator = Emulator(models, profile=profile, memory_gb=memory_gb, loaded=loaded, keepalive_s=keepalive_s, seed=seed, **(habits or {}))
    asyncio.run(_serve(emulator, port, host))


async def _serve(emulator: Emulator, port: int, host: str) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await emulator.start(port, host)
    print(f"emulated server ({emulator.profile}) at {emulator.url}, state at {emulator.url}/emulator/state", flush=True)  # noqa: T201
    await told.wait()
    await emulator.stop()


def _habit(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []
