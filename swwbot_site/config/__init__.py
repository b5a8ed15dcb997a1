"""Configuration in and out: the file `config-aientities.json` and its relatives, as rows and back.

::

    text ─ strict ─→ tree ─ document (tables, kinds, server, persona) ─→ Document ─ apply ─→ rows ─ export ─→ text

`strict` to `document` are pure and need the standard library only; `apply`, `export` and `watch` touch rows, through the
`portable` door of each app. No validation library stands here because the engine's worker imports this package and pydantic alone
costs 13 MB of its 100.
"""
