from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskcsi.model.errors import InvalidArgument, OutOfRange
from diskcsi.model.sizes import GIB, Capacity, SizeRange, gib_to_hold

sizes_in_bytes = st.integers(min_value=0, max_value=70_000 * GIB)


@pytest.mark.parametrize(
    ("size_bytes", "size_gib"), [(0, 0), (1, 1), (GIB, 1), (GIB + 1, 2), (20 * GIB, 20)]
)
def test_bytes_are_held_by_whole_gib(size_bytes: int, size_gib: int) -> None:
    """Rounded up, never down."""
    assert gib_to_hold(size_bytes) == size_gib


@given(size_bytes=sizes_in_bytes)
def test_the_size_holds_the_bytes_and_not_one_gib_more(size_bytes: int) -> None:
    """The smallest that does."""
    assert 0 <= gib_to_hold(size_bytes) * GIB - size_bytes < GIB


@pytest.mark.parametrize(
    ("capacity", "error"),
    [
        pytest.param({"required_bytes": -1}, InvalidArgument, id="negative-required"),
        pytest.param({"limit_bytes": -1}, InvalidArgument, id="negative-limit"),
        pytest.param({"required_bytes": 2, "limit_bytes": 1}, OutOfRange, id="limit-below"),
    ],
)
def test_a_range_that_nothing_fits_is_refused(
    capacity: dict[str, int], error: type[Exception]
) -> None:
    """Before anything else is asked; the message names the field."""
    with pytest.raises(error, match="capacity_range"):
        Capacity(**capacity)


@pytest.mark.parametrize(
    ("required", "limit", "size_gib", "holds"),
    [
        (20, 0, 20, True),
        (20, 0, 19, False),
        (20, 0, 500, True),
        (20, 30, 30, True),
        (20, 30, 31, False),
        (0, 0, 1, True),
        (0, 30, 1, True),
    ],
)
def test_a_disk_fits_between_the_bounds(
    required: int, limit: int, size_gib: int, *, holds: bool
) -> None:
    """Both ends count, and an unset one doesn't."""
    capacity = Capacity(required_bytes=required * GIB, limit_bytes=limit * GIB)
    assert capacity.holds(size_gib) is holds


def test_no_requirement_is_the_smallest_of_the_kind() -> None:
    """Nobody pays for more than was asked."""
    assert Capacity().size_gib(SizeRange(min_gib=20, max_gib=100)) == 20


def test_no_requirement_of_a_restore_is_the_sources_size() -> None:
    """The content has to fit."""
    assert Capacity().size_gib(SizeRange(min_gib=20, max_gib=100), at_least_gib=50) == 50


@pytest.mark.parametrize(("required", "hint"), [(19, "20 GiB or more"), (101, "100 GiB or less")])
def test_a_size_that_is_not_sold_tells_what_is(required: int, hint: str) -> None:
    """The hint is what to ask for."""
    with pytest.raises(OutOfRange) as told:
        Capacity(required_bytes=required * GIB).size_gib(SizeRange(min_gib=20, max_gib=100))
    assert hint in told.value.hint


def test_a_kind_without_an_upper_end_takes_any_size() -> None:
    """Where a cloud publishes none, the cloud decides."""
    assert Capacity(required_bytes=10**6 * GIB).size_gib(SizeRange()) == 10**6


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (SizeRange(min_gib=20, max_gib=100), "20 GiB to 100 GiB"),
        (SizeRange(min_gib=5), "5 GiB to any size"),
    ],
)
def test_a_range_reads_well(sizes: SizeRange, told: str) -> None:
    """It stands in messages."""
    assert str(sizes) == told


@given(
    required=sizes_in_bytes,
    limit=sizes_in_bytes,
    low=st.integers(min_value=1, max_value=1000),
    width=st.integers(min_value=0, max_value=64_000),
)
def test_whatever_size_is_chosen_fits_the_caller_and_the_kind(
    required: int, limit: int, low: int, width: int
) -> None:
    """Or the request is refused; nothing in between."""
    kind = SizeRange(min_gib=low, max_gib=low + width)
    try:
        capacity = Capacity(required_bytes=required, limit_bytes=limit)
        size_gib = capacity.size_gib(kind)
    except OutOfRange:
        return
    assert capacity.holds(size_gib)
    assert size_gib in kind
