"""What is answered where there is nothing and where the program failed: a page for people, under `/api/` the API's one body."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.defaults import bad_request, page_not_found, server_error


def unfit(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: not even looked at, for example because of the host name that was asked for."""
    if not _for_programs(request):
        return bad_request(request, exception)
    detail = "The request is malformed, or asks for a host that is not among this site's ALLOWED_HOSTS; the log says which."
    return JsonResponse({"code": "bad_request", "detail": detail}, status=400)


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no view has this address."""
    if not _for_programs(request):
        return page_not_found(request, exception)
    return JsonResponse({"code": "not_found", "detail": "Nothing has this address; /api/v1/ lists what there is."}, status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """500: an error of the program, which the log tells with its trace."""
    if not _for_programs(request):
        return server_error(request)
    return JsonResponse({"code": "error", "detail": "The bot failed to answer; its log says why."}, status=500)


def _for_programs(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
