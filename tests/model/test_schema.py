from __future__ import annotations

import re
from typing import Any

import pytest

from diskcsi.model.errors import InvalidArgument
from diskcsi.model.schema import Key, Schema, boolean, comma_list, integer, one_of

SCHEMA = Schema(
    what="the StorageClass",
    keys=(
        Key(name="type", parse=comma_list(one_of(["fast", "slow"])), default=("slow",), help=""),
        Key(name="zoneId", aliases=("zoneid",), default="", help=""),
        Key(name="encrypted", parse=boolean(also_true="enabled"), default=False, help=""),
        Key(name="iops", parse=integer(low=0, high=50_000), help=""),
        Key(name="days", parse=integer(low=1), help=""),
        Key(name="fsType", any_case=True, default="", help=""),
        Key(name="tags/", prefix=True, help=""),
        Key(name="readOnly", default="", help="", warning="without effect"),
        Key(name="cluster", default="", help="", refused="its disks belong to one machine"),
    ),
)


def test_every_key_has_its_default() -> None:
    """Whoever reads the values never asks whether a key was given."""
    assert SCHEMA.parse({}).values == {
        "type": ("slow",),
        "zoneId": "",
        "encrypted": False,
        "iops": None,
        "days": None,
        "fsType": "",
        "tags/": {},
        "readOnly": "",
        "cluster": "",
    }


@pytest.mark.parametrize(
    ("given", "key", "value"),
    [
        pytest.param({"type": "fast"}, "type", ("fast",), id="one"),
        pytest.param({"type": " fast , slow "}, "type", ("fast", "slow"), id="list-with-spaces"),
        pytest.param({"type": "fast,fast"}, "type", ("fast",), id="repeated-item"),
        pytest.param({"zoneid": "a"}, "zoneId", "a", id="alias"),
        pytest.param({"zoneId": "a", "zoneid": " a "}, "zoneId", "a", id="both-spellings-agree"),
        pytest.param({"encrypted": "TRUE"}, "encrypted", True, id="true-any-case"),
        pytest.param({"encrypted": "yes"}, "encrypted", True, id="yes"),
        pytest.param({"encrypted": "enabled"}, "encrypted", True, id="own-word"),
        pytest.param({"encrypted": "0"}, "encrypted", False, id="zero"),
        pytest.param({"iops": "0"}, "iops", 0, id="lowest"),
        pytest.param({"iops": "50000"}, "iops", 50_000, id="highest"),
        pytest.param({"days": "100000"}, "days", 100_000, id="no-upper-end"),
        pytest.param({"FSTYPE": "xfs"}, "fsType", "xfs", id="any-case"),
        pytest.param(
            {"tags/team": "a", "tags/b/c": "d"}, "tags/", {"team": "a", "b/c": "d"}, id="prefix"
        ),
    ],
)
def test_a_known_key_is_parsed(given: dict[str, str], key: str, value: object) -> None:
    """Text becomes a value at the door."""
    assert SCHEMA.parse(given).values[key] == value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param({"typ": "fast"}, r"'typ'.*mean type\?.*encrypted", id="misspelled"),
        pytest.param({"cluster": "x"}, r"'cluster'.*one machine", id="not-served"),
        pytest.param({"clustr": "x"}, r"'clustr'.*allowed keys: (?!.*cluster)", id="never-guessed"),
        pytest.param({"nothing-like-it": ""}, r"allowed keys: days, encrypted", id="unknown"),
        pytest.param({"Type": "fast"}, r"'Type'.*mean type", id="case-counts"),
        pytest.param({"tags/": "x"}, r"'tags/'", id="prefix-alone"),
        pytest.param({"type": "medium"}, r"'medium'.*fast, slow", id="not-one-of"),
        pytest.param({"type": "fast,"}, r"without empty items", id="empty-item"),
        pytest.param({"encrypted": "on"}, r"'encrypted'.*'on'.*true.*no", id="odd-boolean"),
        pytest.param({"encrypted": ""}, r"'encrypted'", id="empty-boolean"),
        pytest.param({"iops": "50001"}, r"0 to 50000", id="above"),
        pytest.param({"iops": "-1"}, r"whole numbers", id="negative"),
        pytest.param({"iops": "1.5"}, r"whole numbers", id="fraction"),
        pytest.param({"iops": "٣"}, r"whole numbers", id="other-digits"),
        pytest.param({"days": "0"}, r"from 1$", id="below"),
        pytest.param({"zoneId": "a", "zoneid": "b"}, r"zoneId twice", id="spellings-disagree"),
        pytest.param({"fsType": "a", "fstype": "b"}, r"fsType twice", id="cases-disagree"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(given: dict[str, str], told: str) -> None:
    """The message names the key and what would do."""
    with pytest.raises(InvalidArgument) as refusal:
        SCHEMA.parse(given)
    assert re.search(told, str(refusal.value))


def test_keys_of_the_sidecars_always_pass() -> None:
    """The provisioner adds them on its own."""
    given = {"csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/fstype": "ext4"}
    assert SCHEMA.parse(given) == SCHEMA.parse({})


@pytest.mark.parametrize(
    ("given", "warnings"),
    [({"readOnly": "false"}, ("readOnly: without effect",)), ({"type": "fast"}, ())],
)
def test_a_key_without_effect_is_accepted_with_a_warning(
    given: dict[str, str], warnings: tuple[str, ...]
) -> None:
    """Old classes carry it, and people should know."""
    assert SCHEMA.parse(given).warnings == warnings


@pytest.mark.parametrize(("given", "value"), [({}, None), ({"k": "x"}, "x")])
def test_a_key_without_a_parser_is_text(given: dict[str, str], value: Any) -> None:  # noqa: ANN401 - a parsed value
    """Trimmed, and nothing else."""
    assert Schema(what="it", keys=(Key(name="k", help=""),)).parse(given).values["k"] == value
