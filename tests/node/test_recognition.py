from __future__ import annotations

from functools import reduce

import pytest

from diskcsi.model.ids import NodeId
from diskcsi.node.recognition import Recognition


@pytest.mark.parametrize(
    ("looks", "another"),
    [
        ("", None),
        ("known known known", None),
        ("other other", None),
        ("other other other", "other"),
        ("other other other other", "other"),
        ("other other known other other", None),
        ("other other third other other", None),
        ("other other third third third", "third"),
        ("other other other third", None),
        ("other other other known", None),
    ],
)
def test_a_node_is_another_one_once_three_looks_in_a_row_agree(
    looks: str, another: str | None
) -> None:
    """Neither the known id nor a third one may come between them."""
    ids = [NodeId(one) for one in looks.split()]
    told = reduce(Recognition.after, ids, Recognition(known_as=NodeId("known")))
    assert told.another == another
