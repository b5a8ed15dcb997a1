"""Addresses as people write them, in one spelling, so that one peer is one row."""


def tidy(url: str, *tails: str) -> str:
    """`url` without white space around it, a trailing slash, or one of `tails` (such as "/v1") at its end."""
    plain = url.strip().rstrip("/")
    for tail in tails:
        plain = plain.removesuffix(tail).rstrip("/")
    return plain
