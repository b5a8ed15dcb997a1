"""One entity as a file that `importconfig` takes."""

import json

from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from entities import read
from swwbot_site.config import export


@require_safe
@permission_required("entities.view_entity", raise_exception=True)
def entity(request: HttpRequest, pk: int) -> HttpResponse:
    """The file of one entity, to keep or to import elsewhere."""
    persona = read.one(pk)
    document = export.entity(persona.slug) if persona else None
    if persona is None or document is None:
        raise Http404("There is no such entity.")
    answer = HttpResponse(json.dumps(document, indent=2, ensure_ascii=False) + "\n", content_type="application/json; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slugify(persona.slug) or "entity"}.json"'
    return answer
