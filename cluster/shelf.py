"""Which model a server means by each name on its list, and what models need by the files of all servers. Shared by who reconciles."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from django.db.models import Max

from cluster.lmstudio.values import Dialect, ListedModel
from cluster.logic.memory import PER_SLOT, File, guess_gb, settled
from cluster.logic.naming import meant
from cluster.models import ClusterPolicy, LanguageModel, Offer, Server

Looked = Sequence[tuple[ListedModel, LanguageModel]]


class Shelf:
    """All models, read once; the caller holds the catalogue's lock, and takes the locks of placements and offers after `weigh`."""

    def __init__(self) -> None:
        self._rows = list(LanguageModel.objects.order_by("id"))
        self._here: set[int] = set()
        self._fresh: defaultdict[int, dict[str, object]] = defaultdict(dict)

    @property
    def changed(self) -> bool:
        """Whether a look has said anything new of a model."""
        return bool(self._fresh)

    def names(self) -> set[str]:
        """Every name of every model that is known."""
        return {name for row in self._rows for name in (row.key, *row.aliases)}

    def model(self, listed: ListedModel) -> LanguageModel:
        """The row of a listed model: the one of its key, of one of its names, or a name that somebody asked for; otherwise a new one."""
        instances = {i.id for i in listed.instances}
        names = [listed.key.lower(), *(a.lower() for a in listed.aliases if a not in instances)]
        exact = (m for m in self._rows if m.key == names[0])
        named = (m for m in self._rows if {m.key, *m.aliases} & set(names))
        asked = (m for m in self._rows if m.pk not in self._here and meant(m.key, names) and not self._listed(m))
        row = next(chain(exact, named, asked), None)
        if row is None:  # somebody may be asking for it for the first time at this very moment
            row, _ = LanguageModel.objects.get_or_create(key=names[0], defaults={"size_gb": guess_gb(names[0])})
            self._rows.append(row)
        fresh = {
            "aliases": sorted({*row.aliases, *names} - {row.key}),
            "format": listed.format or row.format,
            "kind": listed.kind or row.kind,
            "max_context_length": listed.max_context_length or row.max_context_length,
            "params": row.params or listed.params[:40],
        }
        self._set(row, fresh)
        self._here.add(row.pk)
        return row

    def _listed(self, row: LanguageModel) -> bool:
        """Whether some server has it under its own name, so that another one's variant of it is another model."""
        return Offer.objects.filter(model=row).exists()

    def weigh(self, server: Server, dialect: Dialect, looked: Looked, models: set[int]) -> None:
        """Reckon anew what `models` need, from what this server lists now and the others listed before; write what has changed."""
        files = _others(server, models)
        slots = (server.slots or 1) if dialect in PER_SLOT else 1
        for listed, model in {model.pk: (listed, model) for listed, model in reversed(looked)}.values():
            if listed.size_bytes is not None:
                files[model.pk].append(File(size_bytes=listed.size_bytes, slots=slots))
        known = {row.pk: {"size_gb": row.size_gb, "size_source": row.size_source} for row in self._rows if row.pk in models}
        for row in self._rows:
            if row.pk in models:
                gb, source, largest = settled(row, files[row.pk])
                self._set(row, {"size_gb": gb, "size_source": source, "size_bytes": largest})
        if self._fresh:  # the planner counts demand on these rows under its own lock: not at the same time
            ClusterPolicy.objects.select_for_update(no_key=True).get(pk=ClusterPolicy.current().pk)
        for pk, fresh in sorted(self._fresh.items()):
            # A size that was learned meanwhile is not written over; the next look weighs it.
            if not LanguageModel.objects.filter(pk=pk, **known.get(pk, {})).update(**fresh):
                LanguageModel.objects.filter(pk=pk).update(**{name: value for name, value in fresh.items() if not name.startswith("size")})

    def _set(self, row: LanguageModel, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if getattr(row, name) != value:
                setattr(row, name, value)
                self._fresh[row.pk][name] = value


def _others(server: Server, models: Iterable[int]) -> defaultdict[int, list[File]]:
    """By model, the files that other servers list; of servers that are alike the largest."""
    files: defaultdict[int, list[File]] = defaultdict(list)
    groups = ("model_id", "server__dialect", "server__detected", "server__slots")
    offers = Offer.objects.filter(model_id__in=models, size_bytes__isnull=False).exclude(server=server).order_by().values_list(*groups)
    for model_id, dialect, detected, slots, size in offers.annotate(size=Max("size_bytes")):
        spoken = detected if dialect == Server.Dialect.AUTO else dialect
        files[model_id].append(File(size_bytes=size, slots=(slots or 1) if spoken in PER_SLOT else 1))
    return files
