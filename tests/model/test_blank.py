from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskcsi.model.blank import (
    MOUNTABLE,
    TABLES,
    Blank,
    DeviceFacts,
    Expected,
    Formatted,
    Refused,
    identity_doubts,
    is_half_made,
    judge,
    same_family,
)
from diskcsi.model.sizes import GIB

EXPECTED = Expected(serial="bp1serial", size_bytes=20 * GIB)

EMPTY = DeviceFacts(
    serial="bp1serial",
    size_bytes=20 * GIB,
    filesystem="",
    signatures=(),
    head_is_zero=True,
    tail_is_zero=True,
    partitions=(),
    holders=(),
    mounts=(),
    exclusive=True,
)
EXT4 = replace(
    EMPTY, filesystem="ext4", signatures=("ext4",), head_is_zero=False, tail_is_zero=True
)
HALF = replace(EMPTY, signatures=("ext4",), head_is_zero=False, tail_is_zero=False)
"""What an mkfs leaves that was cut off."""

FACTS = [item.name for item in fields(DeviceFacts)]

CONTRADICTIONS: dict[str, Any] = {
    "serial": "bp1other",
    "size_bytes": 20 * GIB + 512,
    "filesystem": "xfs",
    "signatures": ("LVM2_member",),
    "head_is_zero": False,
    "tail_is_zero": False,
    "partitions": ("vdb1",),
    "holders": ("dm-0",),
    "mounts": ("/var/lib/data",),
    "exclusive": False,
}
"""For each fact a value that speaks against a blank device."""

names = st.sampled_from(["", "ext4", "xfs", "LVM2_member", "crypto_LUKS", "gpt", "swap"])
lists = st.lists(st.sampled_from(["ext4", "xfs", "gpt", "vdb1", "dm-0"]), max_size=2).map(tuple)
any_facts = st.builds(
    DeviceFacts,
    serial=st.sampled_from(["bp1serial", "bp1other", "", None]),
    size_bytes=st.sampled_from([0, 20 * GIB - 1, 20 * GIB, 20 * GIB + 1, 30 * GIB, None]),
    filesystem=st.none() | names,
    signatures=st.none() | lists,
    head_is_zero=st.sampled_from([True, False, None]),
    tail_is_zero=st.sampled_from([True, False, None]),
    partitions=st.none() | lists,
    holders=st.none() | lists,
    mounts=st.none() | lists,
    exclusive=st.sampled_from([True, False, None]),
)


@st.composite
def near_facts(draw: st.DrawFn) -> DeviceFacts:
    """A device that is all blank, formatted or half made, with up to three facts told otherwise.

    Facts drawn at random contradict each other so often that none of them ever comes out well.
    """
    facts = draw(st.sampled_from([EMPTY, EXT4, HALF]))
    told = draw(any_facts)
    changed = draw(st.lists(st.sampled_from(FACTS), max_size=3, unique=True))
    return replace(facts, **{name: getattr(told, name) for name in changed})


any_expected = st.builds(
    Expected,
    serial=st.just("bp1serial"),
    size_bytes=st.sampled_from([20 * GIB, 30 * GIB, None]),
)


def test_a_device_of_which_every_fact_says_so_is_blank() -> None:
    """The one case in which formatting destroys nothing."""
    assert judge(EMPTY, EXPECTED) == Blank()


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_that_cannot_be_read_is_never_taken_for_nothing(fact: str) -> None:
    """Unknown is not empty."""
    assert isinstance(judge(replace(EMPTY, **{fact: None}), EXPECTED), Refused)


@pytest.mark.parametrize("fact", FACTS)
def test_one_contradiction_refuses_to_format(fact: str) -> None:
    """All other facts together don't outvote it."""
    verdict = judge(replace(EMPTY, **{fact: CONTRADICTIONS[fact]}), EXPECTED)
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize("fact", FACTS)
def test_every_refusal_says_why(fact: str) -> None:
    """Somebody has to find out what is on the device."""
    verdict = judge(replace(EMPTY, **{fact: None}), EXPECTED)
    assert isinstance(verdict, Refused)
    assert all(reason.startswith(("its ", "it ")) for reason in verdict.reasons)


def test_every_doubt_is_told_at_once() -> None:
    """One look at the log tells the whole story."""
    facts = replace(EMPTY, head_is_zero=False, tail_is_zero=None, holders=("dm-0",))
    verdict = judge(facts, EXPECTED)
    assert isinstance(verdict, Refused)
    assert len(verdict.reasons) == 3


def test_an_attachment_that_tells_no_size_is_never_formatted() -> None:
    """Serial and size must agree; without one of them there is no proof."""
    assert isinstance(judge(EMPTY, replace(EXPECTED, size_bytes=None)), Refused)


def test_a_larger_device_is_not_formatted() -> None:
    """It may be another disk; one that grew was formatted before."""
    assert isinstance(judge(replace(EMPTY, size_bytes=30 * GIB), EXPECTED), Refused)


@given(facts=near_facts(), expected=any_expected)
def test_blank_means_that_every_fact_is_known_and_says_so(
    facts: DeviceFacts, expected: Expected
) -> None:
    """Whatever the facts, no other combination leads to formatting."""
    if judge(facts, expected) == Blank():
        assert facts == replace(EMPTY, size_bytes=expected.size_bytes)


@given(facts=near_facts(), expected=any_expected)
def test_formatted_means_that_two_tools_agree_on_one_filesystem(
    facts: DeviceFacts, expected: Expected
) -> None:
    """Nothing else on the device contradicts it."""
    verdict = judge(facts, expected)
    if isinstance(verdict, Formatted):
        assert verdict.fs_type == facts.filesystem
        assert verdict.fs_type in MOUNTABLE
        assert set(facts.signatures or ()) == {verdict.fs_type}


@given(facts=near_facts(), expected=any_expected)
def test_a_device_of_another_identity_is_never_used(facts: DeviceFacts, expected: Expected) -> None:
    """Not even to be mounted."""
    if facts.serial != expected.serial or facts.size_bytes is None:
        assert isinstance(judge(facts, expected), Refused)


def test_a_filesystem_that_nothing_contradicts_is_mounted() -> None:
    """It is there since an earlier stage."""
    assert judge(EXT4, EXPECTED) == Formatted(fs_type="ext4")


def test_a_mounted_filesystem_may_be_held_by_its_mount() -> None:
    """Exclusive use is refused by the mount itself."""
    facts = replace(EXT4, mounts=("/staging",), exclusive=False)
    assert judge(facts, EXPECTED) == Formatted(fs_type="ext4")


def test_a_disk_that_grew_keeps_its_filesystem() -> None:
    """Its size is at least what was told at the attach."""
    assert judge(replace(EXT4, size_bytes=30 * GIB), EXPECTED) == Formatted(fs_type="ext4")


def test_an_old_attachment_without_a_size_is_mounted() -> None:
    """Volumes of a former driver go on working."""
    assert judge(EXT4, replace(EXPECTED, size_bytes=None)) == Formatted(fs_type="ext4")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"signatures": None}, id="signatures-unreadable"),
        pytest.param({"signatures": ()}, id="tools-disagree"),
        pytest.param({"signatures": ("ext4", "LVM2_member")}, id="two-owners"),
        pytest.param({"signatures": ("xfs",)}, id="other-signature"),
        pytest.param({"partitions": ("vdb1",)}, id="partitions"),
        pytest.param({"partitions": None}, id="partitions-unreadable"),
        pytest.param({"holders": ("md0",)}, id="holders"),
        pytest.param({"holders": None}, id="holders-unreadable"),
        pytest.param({"exclusive": False}, id="used-and-not-mounted"),
        pytest.param({"exclusive": None}, id="use-unknown"),
        pytest.param({"serial": "bp1other"}, id="other-disk"),
        pytest.param({"size_bytes": 10 * GIB}, id="too-small"),
    ],
)
def test_a_filesystem_in_doubt_is_not_mounted(changes: dict[str, Any]) -> None:
    """It may be a part of something else, or another disk."""
    assert isinstance(judge(replace(EXT4, **changes), EXPECTED), Refused)


@pytest.mark.parametrize("content", [*sorted(TABLES), "LVM2_member", "crypto_LUKS", "swap", "ntfs"])
def test_contents_that_are_not_served_are_refused_by_name(content: str) -> None:
    """They are somebody's data in another form."""
    verdict = judge(replace(EXT4, filesystem=content, signatures=(content,)), EXPECTED)
    assert isinstance(verdict, Refused)
    assert content in verdict.reasons[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("ext3", "ext4", True), ("ext2", "ext3", True), ("xfs", "xfs", True), ("xfs", "ext4", False)],
)
def test_the_ext_filesystems_are_one_family(one: str, other: str, *, same: bool) -> None:
    """Tools name them by their features."""
    assert same_family(one, other) is same


def test_identity_has_no_doubt_about_the_right_disk() -> None:
    """Serial and size agree."""
    assert identity_doubts(EMPTY, EXPECTED) == ()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="signature-and-bytes"),
        pytest.param({"signatures": ()}, id="bytes-alone"),
        pytest.param({"signatures": ("ext2",)}, id="same-family"),
        pytest.param({"signatures": (), "head_is_zero": True, "tail_is_zero": True}, id="nothing"),
    ],
)
def test_what_a_cut_off_format_leaves_is_told_as_such(changes: dict[str, Any]) -> None:
    """With a note that nothing else has written since, it may be formatted again."""
    assert is_half_made(replace(HALF, **changes), EXPECTED, "ext4")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"filesystem": "ext4"}, id="whole"),
        pytest.param({"filesystem": None}, id="unidentified"),
        pytest.param({"signatures": None}, id="signatures-unreadable"),
        pytest.param({"signatures": ("xfs",)}, id="other-signature"),
        pytest.param({"signatures": ("ext4", "gpt")}, id="one-more-signature"),
        pytest.param({"head_is_zero": None}, id="head-unreadable"),
        pytest.param({"tail_is_zero": None}, id="tail-unreadable"),
        pytest.param({"size_bytes": 30 * GIB}, id="other-size"),
    ]
    + [
        pytest.param({fact: CONTRADICTIONS[fact]}, id=fact)
        for fact in ("serial", "partitions", "holders", "mounts", "exclusive")
    ],
)
def test_what_a_cut_off_format_does_not_explain_is_never_formatted_again(
    changes: dict[str, Any],
) -> None:
    """It is somebody's data, or can't be told."""
    assert not is_half_made(replace(HALF, **changes), EXPECTED, "ext4")


@given(facts=near_facts(), expected=any_expected)
def test_half_made_means_that_everything_else_is_known_and_says_blank(
    facts: DeviceFacts, expected: Expected
) -> None:
    """Only head, tail and the format's own signature may speak against it."""
    if is_half_made(facts, expected, "ext4"):
        blank = replace(facts, signatures=(), head_is_zero=True, tail_is_zero=True)
        assert judge(blank, expected) == Blank()
        assert None not in (facts.signatures, facts.head_is_zero, facts.tail_is_zero)


def test_the_properties_meet_every_verdict() -> None:
    """A property that never sees a blank device holds of nothing."""
    seen: set[object] = set()

    @settings(derandomize=True, database=None, max_examples=500)
    @given(facts=near_facts(), expected=any_expected)
    def look(facts: DeviceFacts, expected: Expected) -> None:
        seen.add(type(judge(facts, expected)))
        seen.add(("half made", is_half_made(facts, expected, "ext4")))

    look()
    assert seen == {Blank, Formatted, Refused, ("half made", True), ("half made", False)}
