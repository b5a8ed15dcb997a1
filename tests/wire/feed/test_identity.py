"""Names, colours, lengths and addresses."""

import random

import pytest

from conversations.feed import identity
from conversations.feed.values import Endpoint, Generation, place


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("rgb(128, 0, 255)", "128000255"),
        ("RGB(1,2,3)", "001002003"),
        (" 128000255 ", "128000255"),
        ("128000255-a1B2c3D4e5", "128000255-a1B2c3D4e5"),
        ("rgb(300, 0, 0)", "rgb(300, 0, 0)"),
        ("#ff00ff", "#ff00ff"),
        ("", ""),
    ],
)
def test_a_colour_has_one_form_inside(text, inside):
    assert identity.color(text) == inside


@pytest.mark.parametrize(
    ("inside", "kv", "digits", "newest"),
    [
        ("128000255", "rgb(128, 0, 255)", "128000255", "128000255"),
        ("128000255-abc", "rgb(128, 0, 255)", "128000255", "128000255-abc"),
        ("rgb(1, 2, 3)", "rgb(1, 2, 3)", "001002003", "001002003"),
        ("#ff00ff", "#ff00ff", "#ff00ff", "#ff00ff"),
    ],
)
def test_a_colour_is_printed_as_the_backend_expects(inside, kv, digits, newest):
    assert identity.printed(inside, Generation.KV) == kv
    assert identity.printed(inside, Generation.KV_PATCH) == digits
    assert identity.printed(inside, Generation.KV_QUEUE) == digits
    assert identity.printed(inside, Generation.DO) == newest


def test_a_drawn_colour_is_nine_digits_and_the_same_for_the_same_dice():
    first, again = (identity.drawn(random.Random(3).random) for _ in range(2))
    assert first == again == identity.color(first)
    assert len(first) == 9
    assert all(64 <= int(first[place : place + 3]) <= 255 for place in (0, 3, 6))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Sage", "Sage"),
        ("  Sage ", "Sage"),
        ("SeventeenLettersX", "SeventeenLetters"),
        ("fifteen letter 😂", "fifteen letter"),
        ("😂" * 9, "😂" * 8),
    ],
)
def test_a_name_is_cut_at_sixteen_units_and_never_inside_a_character(text, cut):
    assert identity.name(text) == cut


@pytest.mark.parametrize(
    ("text", "username", "color"),
    [
        ("Sage:200100050", "Sage", "200100050"),
        ("Sage:rgb(200, 100, 50)", "Sage", "200100050"),
        ("Sage:random", "Sage", None),
        ("a:b:RANDOM", "a:b", None),
        ("ANameThatIsMuchTooLong:random", "ANameThatIsMuchT", None),
    ],
)
def test_ais_names_an_identity(text, username, color):
    assert identity.ais(text) == identity.Identity(username=username, color=color)


@pytest.mark.parametrize("text", ["", "Sage", ":random", "Sage:", " : "])
def test_ais_without_name_or_colour_is_an_error(text):
    with pytest.raises(ValueError, match="username:colour"):
        identity.ais(text)


@pytest.mark.parametrize("url", ["https://host/api", "https://host/api/", "https://host/api/comments", " https://host/api/comments/ "])
def test_an_address_is_taken_with_or_without_its_end(url):
    assert Endpoint(url=url, generation=Generation.DO).base == "https://host/api"


@pytest.mark.parametrize(
    "url", ["", "host/api", "ftp://host/api", "https://", "https://host:99999/api", "https://host/api?x=1", "http://[::1/api"]
)
def test_what_is_no_address_is_an_error(url):
    with pytest.raises(ValueError, match="no address of a message backend"):
        Endpoint(url=url, generation=Generation.DO)


@pytest.mark.parametrize("limit", [0, 1001])
def test_an_impossible_text_limit_is_an_error(limit):
    with pytest.raises(ValueError, match="text_limit"):
        Endpoint(url="https://host/api", generation=Generation.DO, text_limit=limit)


def test_messages_about_an_address_hide_its_password():
    assert place("https://me:secret@host:8/api") == "https://host:8/api"
