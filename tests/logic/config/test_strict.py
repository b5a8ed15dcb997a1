"""Reading JSON: what is refused, where, and the two slips that are passed over."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swwbot_site.config import strict
from swwbot_site.config.document import Document, DocumentError, parse
from swwbot_site.config.problems import Findings


def refused(text: str | bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        strict.load(text, Findings())
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": }', "$ is not JSON, line 1 column 7"),
        ('{\n  "a": 1\n  "b": 2}', "$ is not JSON, line 3 column 3"),
        ("", "$ is not JSON, line 1 column 1"),
        ('{"a": {"b": 1, "b": 2}}', "$.a.b is given twice"),
        ('[{"x y": 1, "x y": 2}]', '$[0]["x y"] is given twice'),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": ["\\u0000"]}', "$.a[0] has a character that cannot be stored"),
        ('{"a": "\\ud800"}', "$.a has a character that cannot be stored"),
        ('{"\\ud800": 1}', "$ has the key"),
        (b'{"a": "\xff"}', "$ is not UTF-8 text (byte 7)"),
        ("[" * 60 + "]" * 60, "is nested deeper than 40 levels"),
        ("[" * 100_000, "$ is nested deeper than 40 levels"),
        ("1" * 5000, "$ is not JSON that can be used"),
    ],
)
def test_what_is_no_usable_json_is_refused_with_its_place(text: str | bytes, told: str) -> None:
    assert told in refused(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": [1, 2,],\n"b": {"c": null,\n}}', "$ has a comma after the last member in line 1, 2, passed over"),
        ('{\n// a note\n"a": [1, 2],\n"b": {"c": null}}', "$ has a comment in line 2, passed over"),
        ('{"a": [1, 2], /* two\nlines */ "b": {"c": null, // last\n}}', "$ has a comment in line 1, 2, passed over"),
    ],
)
def test_comments_and_a_comma_too_many_are_passed_over_with_a_warning(text: str, told: str) -> None:
    findings = Findings()
    assert strict.load(text, findings) == {"a": [1, 2], "b": {"c": None}}
    assert told in str(findings.problems[0])


def test_commas_and_slashes_inside_texts_stay() -> None:
    assert strict.load('{"a": "http://x/*,]*/ \\",}", }', Findings()) == {"a": 'http://x/*,]*/ ",}'}


def test_a_byte_order_mark_is_no_error() -> None:
    assert strict.load(b'\xef\xbb\xbf{"a": 1}', Findings()) == {"a": 1}


def test_large_numbers_are_read_as_a_json_column_gives_them_back() -> None:
    assert strict.load("[1e23, 1.5, 2.0]", Findings()) == [10**23, 1.5, 2.0]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYS = (
    "lmStudioServers",
    "clusterSettings",
    "feeds",
    "entities",
    "globalSettings",
    "botSettings",
    "queueSettings",
    "retention",
    "version",
    "escapes",
)
DEEPER = ("id", "ip", "port", "url", "name", "username", "color", "rateLimits", "capabilities", "maxMemory", "quantizations", "stop", "nom")
objects = st.dictionaries(st.sampled_from(DEEPER), anything, max_size=6)


@given(anything | st.dictionaries(st.sampled_from(KEYS), anything | objects | st.lists(objects, max_size=3)))
def test_no_json_raises_anything_but_a_document_error(tree: object) -> None:
    with suppress(DocumentError):
        assert isinstance(parse(json.dumps(tree)), Document)


@given(st.text() | st.binary())
def test_no_text_raises_anything_but_a_document_error(text: str | bytes) -> None:
    with suppress(DocumentError):
        assert isinstance(parse(text), Document)
