"""The demo: two emulated LM Studio servers, a third to be added by hand, an emulated feed, and the personas that live there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from swwbot_site import processes
from swwbot_site.supervisor import Program

HOST: Final = "127.0.0.1"
DOCUMENT: Final = Path(__file__).with_name("config-demo.json")
CHAT: Final = "Emulated chat"
"""The name of the demo's feed."""

AWAY: Final = json.dumps({"version": "put away"})
"""The document that says nothing: what the demo described is switched off."""

VECTORS: Final = "text-embedding-nomic-embed-text-v1.5:0.3:GGUF"
SHELVES: Final = (
    ("llama-3.2-3b-instruct:2:MLX", "mistral-nemo-12b-instruct:7:GGUF", "gpt-oss-20b:12:MLX", VECTORS),
    ("llama-3.2-3b-instruct:2:MLX", "mistral-nemo-12b-instruct:7:GGUF", VECTORS),
)
"""The models on the disk of each emulated server, as `key:GB:format`; the big one fits only the first."""

SPARE: Final = 12343
"""Where the third server listens, if the port is free. It has what the first one has."""

SPARE_GB: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """One demo: its configuration document (JSON text) and the programs of its emulators."""

    document: str
    programs: Sequence[Program]
    chat: str
    """The page where the emulated chat can be watched and written to."""
    spare: str
    """The address of a server that runs and that nobody uses until somebody adds it."""


def arrange(manage: Sequence[str]) -> Demo:
    """Find ports for the emulators, the usual ones if they are free. `manage` are the words that run manage.py."""
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    taken: set[int] = set()
    programs: list[Program] = []
    for index, server in enumerate(document["lmStudioServers"]):
        server["port"] = _port(server["port"], taken)
        memory = server["capabilities"]["maxMemory"]
        words = ["lmstudio", "--port", str(server["port"]), "--memory-gb", str(memory), "--models", *SHELVES[index], "--load-gbps", "8"]
        programs.append(_program(manage, f"studio-{index + 1}", server["port"], words))
    spare = _port(SPARE, taken)
    words = ["lmstudio", "--port", str(spare), "--memory-gb", str(SPARE_GB), "--models", *SHELVES[0], "--load-gbps", "8"]
    programs.append(_program(manage, "spare", spare, words))
    feed = document["feeds"][0]
    port = _port(urlsplit(feed["url"]).port or 8787, taken)
    feed["url"] = f"http://{HOST}:{port}/api"
    names, ids = [[entity[key] for entity in document["entities"]] for key in ("username", "id")]
    programs.append(_program(manage, "feed", port, ["feed", "--port", str(port), "--every", "4", "--mention", *names, "--entity", *ids]))
    return Demo(
        document=json.dumps(document, indent=2), programs=programs, chat=f"http://{HOST}:{port}/chat", spare=f"http://{HOST}:{spare}"
    )


def _program(manage: Sequence[str], name: str, port: int, words: Sequence[str]) -> Program:
    return Program(name=name, words=[*manage, "emulate", *words, "--host", HOST], port=port, rank=1, patience_s=1.5)


def _port(wanted: int, taken: set[int]) -> int:
    """`wanted`, or the next one above that nobody uses."""
    port = next(port for port in range(wanted, wanted + 1000) if port not in taken and processes.port_is_free(HOST, port))
    taken.add(port)
    return port
