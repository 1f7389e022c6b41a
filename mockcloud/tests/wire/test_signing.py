import pytest
from mockcloud.wire.signing import encode, matches, signature, string_to_sign

PUBLISHED = {
    "Timestamp": "2016-02-23T12:46:24Z",
    "Format": "XML",
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "Version": "2014-05-26",
    "SignatureVersion": "1.0",
}


def test_the_published_example_has_its_published_signature() -> None:
    """The cloud's documentation signs one call; ours is the same."""
    assert signature("GET", PUBLISHED, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [("a b", "a%20b"), ("*", "%2A"), ("~", "~"), ("/", "%2F"), ("盘", "%E7%9B%98"), ("+", "%2B")],
)
def test_characters_are_encoded_as_the_signature_wants(plain: str, encoded: str) -> None:
    """Form encoding and the signature's encoding differ in a few characters."""
    assert encode(plain) == encoded


def test_names_are_sorted_as_text() -> None:
    """`Tag.10` comes before `Tag.2`."""
    signed = string_to_sign("POST", {"Tag.2.Key": "b", "Tag.10.Key": "a"})
    assert signed == "POST&%2F&Tag.10.Key%3Da%26Tag.2.Key%3Db"


def test_a_blank_value_is_signed_as_well() -> None:
    """An old SDK sends a parameter without a value, and signs it."""
    assert string_to_sign("GET", {"SignatureType": ""}) == "GET&%2F&SignatureType%3D"


@pytest.mark.parametrize("change", [{"Action": "DeleteDisk"}, {"New": "1"}, {"Signature": ""}])
def test_a_changed_call_does_not_match(change: dict[str, str]) -> None:
    """What was changed, added or left unsigned after the signature is noticed."""
    call = PUBLISHED | {"Signature": signature("GET", PUBLISHED, "testsecret")}
    assert not matches("GET", call | change, "testsecret")
