"""How the REST API says no: one body, `{"code": …, "detail": …}`, with `fields` where the request's own words were wrong."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist
from django.core.exceptions import ValidationError as Unfit
from django.db import IntegrityError
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from swwbot_site.lib.errors import BotError
from swwbot_site.lib.repeats import Answered

PLAIN: Final = {403: "permission_denied", 404: "not_found"}


class Conflict(APIException):
    """Somebody was first, or it is so already."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "Somebody was first: it is not so any more. Look again."


class Refusing:
    """A view that says with which status its verbs' errors are told; the first class that fits counts, 400 where none does."""

    refusals: ClassVar[Mapping[type[BotError], int]] = {}


def problem(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """The one body of every refusal; None for an error of the program, which Django reports."""
    if isinstance(exc, Answered):
        return exc.response
    if isinstance(exc, BotError):
        return Response({"code": exc.code, "detail": str(exc)}, status=_status(exc, context.get("view")))
    if isinstance(exc, Unfit):
        exc = ValidationError(
            {_name(name): told for name, told in exc.message_dict.items()} if hasattr(exc, "error_dict") else exc.messages
        )
    elif isinstance(exc, ObjectDoesNotExist):  # it went while it was being dealt with
        exc = NotFound()
    elif isinstance(exc, IntegrityError):
        exc = Conflict(f"It clashes with another row: {str(exc).splitlines()[0]}")
    response = exception_handler(exc, dict(context))
    if response is None:
        return None
    codes = exc.get_codes() if isinstance(exc, APIException) else PLAIN[response.status_code]
    said = response.data
    if isinstance(said, dict) and set(said) == {"detail"}:
        said = said["detail"]
    response.data = {"code": codes if isinstance(codes, str) else "invalid", "detail": _sentence(said)}
    if isinstance(exc, ValidationError) and isinstance(said, Mapping):
        response.data["fields"] = {str(name): _texts(part) for name, part in said.items()}
    return response


def _status(exc: BotError, view: Any) -> int:
    table = view.refusals if isinstance(view, Refusing) else {}
    return next((code for kind, code in table.items() if isinstance(exc, kind)), status.HTTP_400_BAD_REQUEST)


def _name(name: str) -> str:
    return "non_field_errors" if name == NON_FIELD_ERRORS else name


def _sentence(said: Any) -> str:
    if isinstance(said, Mapping):
        return "; ".join(f"{name}: {_sentence(part)}" for name, part in said.items())
    return " ".join(_sentence(part) for part in said) if isinstance(said, list) else str(said)


def _texts(said: Any) -> list[str]:
    if isinstance(said, list) and all(isinstance(part, str | ErrorDetail) for part in said):
        return [str(part) for part in said]
    return [_sentence(said)]


def found(row: Any, what: str = "row") -> Any:
    """The row, if there is one. Raises NotFound."""
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row


def first(done: object) -> None:
    """Raises Conflict unless it was we who did it."""
    if not done:
        raise Conflict


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A step of the OpenAPI document's making: every operation may answer with a problem, and no form takes what it does not know."""
    text = {"type": "string"}
    schemas = result["components"].setdefault("schemas", {})
    schemas["Problem"] = {
        "type": "object",
        "description": "Why there is no answer: a stable code for programs, a sentence for people, and what is wrong by field.",
        "required": ["code", "detail"],
        "properties": {
            "code": text,
            "detail": text,
            "fields": {"type": "object", "additionalProperties": {"type": "array", "items": text}},
        },
    }
    for name, schema in schemas.items():
        if name.endswith("Form") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    answer = {"description": "A refusal.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = answer
    return result
