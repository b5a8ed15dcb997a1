"""Web addresses and markup."""

import pytest

from conversations.logic.marks import linked, marked, unlinked, unmarked


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("See https://example.org/a?b=c#d now", "See  now"),
        ("See HTTPS://EXAMPLE.ORG", "See "),
        ("See http : //example.org/x now", "See  now"),
        ("www.example.org is it", " is it"),
        ("go to example.com now", "go to  now"),
        ("go to example.co.uk/path, now", "go to  now"),
        ("[the page](https://example.org) says", "the page says"),
        ("![a cat](http://x.org/c.png)", "a cat"),
        ("<https://example.org> says", " says"),
        ("there (https://example.org/x) it is", "there  it is"),
        ("join t.me/somebody now", "join  now"),
        ("bit.ly/abc", ""),
        ("x [1]\n[1]: https://example.org", "x [1]\n"),
        ("javascript:alert(1)", ""),
    ],
)
def test_web_addresses_are_found_and_taken_out(raw: str, text: str) -> None:
    assert linked(raw)
    assert unlinked(raw) == text
    assert not linked(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hello.It is late",
        "done.in a minute",
        "e.g. this",
        "3.14",
        "Node.js",
        "a...b",
        "ann@home",
        "http is a protocol",
        "1.5.2",
        "U.S.A. is it",
        "[x] done",
    ],
)
def test_what_is_no_web_address_stays(text: str) -> None:
    assert not linked(text)
    assert unlinked(text) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("**bold** and *soft*", "bold and soft"),
        ("***both***", "both"),
        ("__bold__ and _soft_", "bold and soft"),
        ("~~struck **and bold**~~", "struck and bold"),
        ("**bold *and soft* again**", "bold and soft again"),
        ("# Title\ntext", "Title\ntext"),
        ("### Title", "Title"),
        ("> quoted\n> more", "quoted\nmore"),
        ("* one\n* two", "- one\n- two"),
        ("`code` and ``more``", "code and more"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("[label](https://example.org)", "label (https://example.org)"),
        ("[https://example.org](https://example.org)", "https://example.org"),
        ("one\n---\ntwo", "one\ntwo"),
        ("<b>bold</b> <i class='x'>soft</i>", "bold soft"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<!-- hidden -->seen", "seen"),
        ("a &amp; b &lt;3 &#39;x&#39;", "a & b <3 'x'"),
        ("| a | b |", "a – b"),
    ],
)
def test_markup_is_found_and_what_it_marks_stays(raw: str, text: str) -> None:
    assert marked(raw)
    assert unmarked(raw) == text
    assert not marked(text)


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4 = 24",
        "snake_case_name",
        "a * b",
        "#hashtag",
        "- one\n- two",
        "1. one",
        "x < y > z",
        "I <3 you",
        ">_<",
        "* ",
        "_",
        "5*3*2",
        "<Ann> hi",
        "R&D; yes",
        "¯\\_(ツ)_/¯",
    ],
)
def test_what_is_no_markup_stays(text: str) -> None:
    assert not marked(text)
