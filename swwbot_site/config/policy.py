"""`clusterSettings`, with what other objects add to the one row of cluster settings: read into a part, and shown."""

from collections.abc import Mapping
from typing import Any

from swwbot_site.config import section, tables
from swwbot_site.config.part import POLICY, Part
from swwbot_site.config.problems import Findings, step


def read(
    cluster: Mapping[str, Any], queue: Mapping[str, Any], model: Mapping[str, Any], path: str, other_path: str, findings: Findings
) -> Part:
    """The policy's part, from what `clusterSettings` (at `path`), `queueSettings` (at `other_path`) and `globalSettings` say in columns."""
    said = {**cluster, **{column: model[column] for column in ("default_model",) if column in model}}
    retries = said.pop("_retries", None)
    other = queue.get("_retries")
    if retries is None:
        retries = other
    elif other not in (None, retries):
        findings.warn(step(other_path, "maxRetries"), f"has no effect: clusterSettings.maxRetries says {retries}")
    if retries is not None:
        said["max_attempts"] = retries + 1
    if "health_check_interval_s" in said:
        # Who names an interval wants to be checked; files of the closed system, which had no timers, name none.
        said.setdefault("monitor", True)
    return Part(kind=POLICY, path=path, said=said)


def show(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of cluster settings as `clusterSettings`."""
    return {**section.show(tables.CLUSTER, row), "maxRetries": row["max_attempts"] - 1}
