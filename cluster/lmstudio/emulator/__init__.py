"""An LM Studio server that is none, or one of its rivals: real HTTP, the reference's behaviours (section 14), every bad habit switchable.

    habits     what can be switched, and what each profile starts with
    machine    models, instances and memory: what is loaded and what would fit
    words      which of them, and which others, each kind of server uses
    work       loads, queues, slots and the speed of tokens
    complaints the sentences in which it refuses
    voice      what it answers
    acting     calls of tools, JSON of a wanted shape, several choices
    prediction one answer in every format
    answering  chats, completions and embeddings over HTTP
    managing   the lists, loads and unloads of LM Studio's dialects, the design's and plain ones
    ollama     Ollama, scheduler and all
    llamacpp   llama-server with one model, and as a router
    routes     which paths a profile has
    server     the HTTP server itself, with `GET /emulator/state` and `POST /emulator/habits`
    command    the options of `manage.py emulate lmstudio`

Nothing here is used by the product; tests, benchmarks and the demo talk to it over its port.
"""

from cluster.lmstudio.emulator.server import Emulator

__all__ = ["Emulator"]
