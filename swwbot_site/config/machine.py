"""`lmStudioServers[]`: one object read into a server's part, and shown."""

from collections.abc import Mapping
from typing import Any, Final

from swwbot_site.config import address, section, tables
from swwbot_site.config.kinds import Wrong
from swwbot_site.config.part import SERVER, Part
from swwbot_site.config.problems import Findings, step

BUDGET_GB: Final = 32.0
"""Memory of a server that says none, GB, as in the original cluster."""

WHOLE_MACS: Final = (16, 24, 32, 36, 48, 64, 128, 192, 256, 512)
"""Memory sizes that Macs are sold with, GB, except 96: that is what models may take of 128."""


def read(raw: Mapping[str, Any], path: str, findings: Findings) -> Part | None:
    """A server's part; None, with an error found, if it has no address."""
    said = section.read(tables.SERVER, raw, path, findings).said
    ip, port, url = (said.pop(column, None) for column in ("_ip", "_port", "_url"))
    token = said.pop("_token", None)
    if token is not None:
        said["token"] = token
    address_ = _url(ip, port, url, path, findings)
    if address_ is None:
        return None
    name = said.get("name") or address.place(address_)
    assumed: dict[str, Any] = {} if "name" in said else {"name": name}
    budget = said.get("budget_gb")
    where = step(step(path, "capabilities"), "maxMemory")
    if budget is None:
        assumed["budget_gb"] = BUDGET_GB
        findings.warn(where, f"is absent; a new server gets {BUDGET_GB:g} GB for models")
    elif budget in WHOLE_MACS:
        findings.warn(
            where, f"is {budget:g} GB, which looks like the whole memory; models get about three quarters (96 of 128). Kept as given"
        )
    if "enabled" not in said:
        findings.warn(step(path, "enabled"), "is absent; a new server is enabled (the original skipped such a server)")
    return Part(kind=SERVER, name=name, path=path, said={**said, "url": address_}, assumed=assumed)


def _url(ip: str | None, port: int | None, url: str | None, path: str, findings: Findings) -> str | None:
    where = step(path, "url" if url is not None else "ip")
    try:
        whole = address.normal(url, without="/v1") if url is not None else None
        where = step(path, "ip")
        parts = address.joined(ip, port or address.PORT) if ip is not None else None
    except Wrong as exc:
        findings.error(where, str(exc))
        return None
    if whole is not None and parts is not None and whole != parts:
        findings.error(step(path, "url"), f"is {whole}, but ip and port say {parts}; write one of them")
        return None
    if parts is None and port is not None:
        findings.warn(step(path, "port"), "has no effect without ip; the port stands in the url")
    if whole is None and parts is None:
        findings.error(path, "has neither ip nor url; write ip and port, or url")
    return whole or parts


def show(row: Mapping[str, Any]) -> dict[str, Any]:
    """A server's row as the file writes it. Its token never leaves; `_token` only notes that there is one."""
    raw = section.show(tables.SERVER, row)
    parts = address.parted(row["url"])
    where: dict[str, Any] = {"ip": parts[0], "port": parts[1]} if parts else {"url": row["url"]}
    note = {"_token": "set; not exported"} if row["token"] else {}
    return {"name": raw.pop("name"), **where, **raw, **note}
