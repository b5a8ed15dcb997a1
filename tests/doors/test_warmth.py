"""Swapping models, keeping them loaded, and the figures of preloads, as people ask for them."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from cluster.models import LanguageModel, Offer
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db


def run(name: str, *args: str) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


@pytest.fixture
def pair() -> tuple[LanguageModel, LanguageModel]:
    """Two versions on the disk of one server."""
    server = build.server(name="Mac")
    old, new = build.model(key="maker/old"), build.model(key="maker/new")
    for model in (old, new):
        build.offer(server=server, model=model)
    return old, new


# --- swap --------------------------------------------------------------------------------------------------------
def test_a_swap_is_ordered_and_undone(pair: tuple[LanguageModel, LanguageModel]) -> None:
    old, new = pair
    assert "maker/new takes the place of maker/old as soon as it is loaded" in run("swap", "old", "new")
    old.refresh_from_db()
    assert old.successor == new
    assert old.successor_at is not None
    assert "on its way already" in run("swap", "old", "new")
    LanguageModel.objects.filter(pk=old.pk).update(replaced_at=clock.now())
    assert "has taken the place of maker/old already" in run("swap", "old", "new")
    assert "maker/old answers for itself again" in run("swap", "old", "--undo")
    assert LanguageModel.objects.filter(pk=old.pk, successor=None, successor_at=None, replaced_at=None).exists()
    assert "nothing to do" in run("swap", "old", "--undo")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("old", "old"), "its own place"),
        (("old", "nobody"), "There is no model 'nobody'"),
        (("old",), "Name the NEW model"),
        (("old", "new", "--undo"), "Name the NEW model"),
    ],
)
def test_a_swap_that_cannot_be_is_refused(pair: tuple[LanguageModel, LanguageModel], words: tuple[str, ...], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        run("swap", *words)
    assert not LanguageModel.objects.filter(successor__isnull=False).exists()


# --- keep --------------------------------------------------------------------------------------------------------
def test_a_model_is_kept_on_a_server_and_let_go(pair: tuple[LanguageModel, LanguageModel]) -> None:
    assert "stays loaded as soon as there is room." in run("keep", "old", "Mac")
    assert "as before" in run("keep", "old", "Mac")
    assert Offer.objects.get(pinned=True).model == pair[0]
    assert "may leave again." in run("keep", "old", "Mac", "--off")
    assert not Offer.objects.filter(pinned=True).exists()


def test_a_model_can_be_kept_only_where_it_is(pair: tuple[LanguageModel, LanguageModel]) -> None:
    with pytest.raises(CommandError, match=r"No server 'Mini' has maker/old on its disk\. It is on: Mac"):
        run("keep", "old", "Mini")


# --- figures -----------------------------------------------------------------------------------------------------
def test_clusterstatus_metrics_and_the_api_tell_what_came_of_preloads(browser: Client) -> None:
    assert "Loaded before" not in run("clusterstatus")
    build.placement(preloaded=True, served=True, gb=20)
    build.placement(preloaded=True, state="gone", gb=7)
    text = " ".join(run("clusterstatus").split())
    assert "Loaded before anybody asked, in a day: 2, 1 were asked for (50% of those known), 1 for nothing (7 GB)" in text
    assert json.loads(run("clusterstatus", "--json"))["warmth"]["hit_rate"] == 0.5
    warmth = browser.get("/api/v1/status/").json()["warmth"]
    assert warmth == {"preloads": 2, "hits": 1, "misses": 1, "open": 0, "hit_rate": 0.5, "loaded_gb": 27.0, "wasted_gb": 7.0}
    metrics = browser.get("/metrics").content.decode()
    assert 'swwbot_preloads_1d{result="miss"} 1.0' in metrics
    assert "swwbot_preload_wasted_bytes_1d 7e+09" in metrics


# --- the admin ---------------------------------------------------------------------------------------------------
def form(browser: Client, model: LanguageModel, **over: Any) -> Any:
    """Send a model's page back with some fields changed."""
    address = reverse("admin:cluster_languagemodel_change", args=[model.pk])
    response = browser.get(address)
    data: dict[str, Any] = {}
    for formset in response.context["inline_admin_formsets"]:
        for field in formset.formset.management_form:
            data[field.html_name] = field.value()
    page = response.context["adminform"].form
    for field in page:
        value = field.field.widget.format_value(field.value()) if hasattr(field.field.widget, "format_value") else field.value()
        value = (value[0] if value else "") if isinstance(value, list) else value
        data[field.html_name] = "" if value is None else value
    return browser.post(address, data | over)


def test_a_successor_chosen_in_the_form_is_a_swap(browser: Client, pair: tuple[LanguageModel, LanguageModel]) -> None:
    old, new = pair
    assert form(browser, old, successor=new.pk).status_code == 302
    old.refresh_from_db()
    assert old.successor == new
    assert old.successor_at is not None
    LanguageModel.objects.filter(pk=old.pk).update(replaced_at=clock.now())
    assert form(browser, old, context_length=8192).status_code == 302
    old.refresh_from_db()
    assert (old.context_length, old.successor) == (8192, new)
    assert old.replaced_at is not None, "what is changed beside it does not begin the swap anew"
    assert form(browser, old, successor="").status_code == 302
    assert LanguageModel.objects.filter(pk=old.pk, successor=None, replaced_at=None).exists()


def test_a_successor_that_cannot_be_one_is_a_sentence_on_the_form(browser: Client, pair: tuple[LanguageModel, LanguageModel]) -> None:
    nowhere = build.model(key="maker/nowhere")
    response = form(browser, pair[0], successor=nowhere.pk)
    assert response.status_code == 200
    assert "No enabled server has maker/nowhere on its disk" in response.content.decode()


def test_a_new_model_has_no_successor_yet(browser: Client) -> None:
    assert 'name="successor"' not in browser.get(reverse("admin:cluster_languagemodel_add")).content.decode()


def test_models_are_kept_by_actions_which_say_so(browser: Client, pair: tuple[LanguageModel, LanguageModel]) -> None:
    address = reverse("admin:cluster_offer_changelist")
    rows = list(Offer.objects.values_list("pk", flat=True))
    assert "2 to be kept loaded." in browser.post(address, {"action": "keep", "_selected_action": rows}, follow=True).content.decode()
    assert Offer.objects.filter(pinned=True).count() == 2
    said = browser.post(address, {"action": "release", "_selected_action": rows[:1]}, follow=True).content.decode()
    assert "1 no longer kept loaded." in said
    assert Offer.objects.filter(pinned=True).count() == 1
