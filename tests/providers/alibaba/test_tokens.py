from __future__ import annotations

import base64

import pytest

from diskcsi.providers.alibaba.tokens import _fnv128a, client_token


@pytest.mark.parametrize("name", ["a", "pvc-1", "x" * 62])
def test_a_short_name_stands_in_its_token(name: str) -> None:
    """People recognize it in the cloud's records."""
    assert client_token(name) == f"n:{name}"


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        # FNV-1a of 128 bits, worked out by its published definition elsewhere
        ("x" * 63, "0a2a7ab036d127a29ef0dd19d673f8af"),
        ("数据卷", "52d60229e902d5fb7fc09285c9aaceb8"),
    ],
)
def test_a_long_or_foreign_name_is_hashed(name: str, digest: str) -> None:
    """The hash and its writing are the Go driver's, so that both make the same token."""
    written = base64.b64encode(bytes.fromhex(digest)).decode().rstrip("=")

    assert client_token(name) == f"h:{written}"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "6c62272e07bb014262b821756295c58d"), ("a", "d228cb696f1a8caf78912b704e4a8964"),
        ("ab", "08809544bbab1be95aa0733055b69a62"), ("abc", "a68d622cec8b5822836dbc7977af7f3b"),
    ],
)  # fmt: skip
def test_the_hash_gives_the_published_values(text: str, digest: str) -> None:
    """Test vectors that other implementations of FNV-1a with 128 bits are held to as well."""
    assert _fnv128a(text.encode()).hex() == digest


@pytest.mark.parametrize("attempt", [0, 1, 12345])
@pytest.mark.parametrize("name", ["a", "x" * 61, "x" * 62, "x" * 128, "数" * 42, "a#1"])
def test_a_token_is_one_that_the_cloud_takes(name: str, attempt: int) -> None:
    """At most 64 ASCII characters (ECS API, "Ensure idempotence")."""
    token = client_token(name, attempt)

    assert token.isascii()
    assert len(token) <= 64


def test_each_attempt_has_a_token_of_its_own() -> None:
    """A spent token would give the former answer again."""
    assert len({client_token("x" * 128, attempt) for attempt in range(5)}) == 5


def test_names_of_one_beginning_differ() -> None:
    """What is cut off of a long name must count."""
    assert client_token("x" * 100 + "1") != client_token("x" * 100 + "2")
