"""Where settings come from, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from diskcsi.host.linux import identity
from diskcsi.ports.settings import setting
from diskcsi.settings import IDENTITY_SOURCES, Settings, SettingsError, fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Settings of every kind."""

    color: str = setting(default="red", env=("COLOR", "OLD_COLOR"), help="a word")
    limit: int | None = setting(default=None, env=("LIMIT",), help="a number, or none")
    count: int = setting(default=1, env=("COUNT",), help="a number")
    share: float = setting(default=0.5, env=("SHARE",), help="a part")
    wild: bool = setting(default=False, env=("WILD",), help="a choice")
    tame: bool = setting(default=True, env=("TAME",), help="another choice")
    names: tuple[str, ...] = setting(default=(), env=("NAMES",), help="a list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demanding:
    """One setting has no default."""

    password: str = setting(env=("PASSWORD",), secret=True, help="a secret")
    place: str = setting(default="here", help="a word")


def filled(
    *,
    flags: dict[str, object] | None = None,
    env: dict[str, str] | None = None,
    file: dict[str, object] | None = None,
    kind: type[Any] = Own,
) -> Any:  # noqa: ANN401 - an object of `kind`
    return fill(kind, flags=flags or {}, environment=env or {}, file=file or {})


def refusal(**sources: Any) -> str:  # noqa: ANN401 - as `filled`
    with pytest.raises(SettingsError) as refused:
        filled(**sources)
    return str(refused.value)


FLAG, ENV, FILE = {"color": "flag"}, {"COLOR": "env"}, {"color": "file"}


@pytest.mark.parametrize(
    ("sources", "color"),
    [
        ({"flags": FLAG, "env": ENV, "file": FILE}, "flag"),
        ({"env": ENV, "file": FILE}, "env"),
        ({"file": FILE}, "file"),
        ({}, "red"),
        ({"flags": {"color": None}, "env": ENV}, "env"),
        ({"env": {"COLOR": "new", "OLD_COLOR": "old"}}, "new"),
        ({"env": {"OLD_COLOR": "old"}}, "old"),
        ({"env": {"COLOR": "", "OLD_COLOR": "old"}}, "old"),
        ({"flags": {"color": ""}, "env": ENV}, ""),
    ],
    ids=[
        "flag first", "then environment", "then file", "then default", "flag not given",
        "first name first", "old name", "an empty variable is none", "an empty flag is one",
    ],
)  # fmt: skip
def test_which_source_wins(sources: dict[str, Any], color: str) -> None:
    """The nearer to the operator's hand, the stronger."""
    assert filled(**sources).color == color


@pytest.mark.parametrize("word", ["true", "True", "YES", "1", "on", " true "])
def test_words_for_yes(word: str) -> None:
    """As manifests of all ages write them."""
    assert filled(env={"WILD": word}).wild is True


@pytest.mark.parametrize("word", ["false", "False", "NO", "0", "off"])
def test_words_for_no(word: str) -> None:
    """The default is yes, so that the word counts."""
    assert filled(env={"TAME": word}).tame is False


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ({"count": 7}, "count", 7),
        ({"share": 0.25}, "share", 0.25),
        ({"share": 2}, "share", 2.0),
        ({"wild": True}, "wild", True),
        ({"names": ["a", "b"]}, "names", ("a", "b")),
        ({"names": "a, b,"}, "names", ("a", "b")),
    ],
)
def test_a_file_may_use_its_own_types(file: dict[str, object], name: str, value: object) -> None:
    """TOML has numbers, booleans and lists."""
    assert getattr(filled(file=file), name) == value


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"flags": {"count": "x"}}, "flag --count can't be read: allowed is a whole number"),
        ({"env": {"COUNT": "1.5"}}, "environment COUNT can't be read"),
        ({"file": {"count": "x"}}, "file setting count can't be read"),
        ({"env": {"SHARE": "nan"}}, "environment SHARE can't be read: allowed is a number from 0"),
        ({"env": {"SHARE": "-1"}}, "environment SHARE can't be read: allowed is a number from 0"),
        ({"env": {"SHARE": "much"}}, "environment SHARE can't be read: allowed is a number from 0"),
        ({"env": {"WILD": "maybe"}}, "environment WILD can't be read: allowed are 1, on, true"),
        ({"file": {"colour": "x"}}, "unknown settings colour; allowed are color, count"),
        ({"kind": Demanding}, "password is required: give PASSWORD (a secret)"),
    ],
)
def test_what_can_t_be_read_is_told_with_its_source(sources: dict[str, Any], words: str) -> None:
    """The operator finds the place at once."""
    assert words in refusal(**sources)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("endpoint", "tcp://1.2.3.4:5", "CSI_ENDPOINT can't be read: allowed is unix:///PATH"),
        ("endpoint", "unix://relative", "allowed is unix:///PATH"),
        ("endpoint", "unix:///", "allowed is unix:///PATH"),
        ("http_port", "70000", "SERVICE_PORT can't be read: allowed are ports from 0 to 65535"),
        ("http_port", "-2", "allowed are ports"),
        ("log_level", "loud", "LOG_LEVEL can't be read: allowed are debug, info, warning, error"),
        ("max_volumes_per_node", "-1", "MAX_VOLUMES_PERNODE can't be read: allowed are whole"),
    ],
)
def test_what_the_driver_can_t_use_is_refused(name: str, value: str, words: str) -> None:
    """Here by the environment's name; by a flag it is the flag's."""
    variable = Settings.__dataclass_fields__[name].metadata["diskcsi.setting"].env[0]
    assert words in refusal(env={variable: value}, kind=Settings)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("identity_sources", "loop, nvme", ("loop", "nvme")),
        ("max_volumes_per_node", "7", 7),
        ("drain_s", "0.5", 0.5),
        ("log_level", "debug", "DEBUG"),
        ("kubelet_root_dir", "/srv/kubelet", "/srv/kubelet"),
    ],
)
def test_what_the_driver_can_use_is_taken(name: str, given: str, value: object) -> None:
    """In the form that the rest of the driver wants."""
    assert getattr(filled(flags={name: given}, kind=Settings), name) == value


def test_a_setting_that_may_be_absent_can_be_given() -> None:
    """Its kind is found behind the alternative."""
    assert (filled().limit, filled(env={"LIMIT": "7"}).limit) == (None, 7)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"logging_format": "xml"}, "flag --logging-format can't be read: allowed are json, text"),
        ({"identity_sources": "scsi"}, "allowed is a comma list of virtio, nvme, loop"),
        (
            {"run_controller_service": "false", "run_node_service": "false"},
            "neither the controller nor the node is served",
        ),
        (
            {"registration_dir": "/registry", "run_node_service": "false"},
            "registration_dir is for the node",
        ),
        ({"registration_dir": "registry"}, "allowed is an absolute path"),
        ({"node_labels": "true"}, "set KUBE_NODE_NAME to the pod's spec.nodeName"),
    ],
)
def test_what_the_driver_can_t_do_is_refused(flags: dict[str, object], words: str) -> None:
    """Before anything is opened."""
    assert words in refusal(flags=flags, kind=Settings)


@pytest.mark.parametrize(
    ("flags", "port"),
    [
        ({}, 11270),
        ({"run_node_service": "false"}, 11270),
        ({"run_controller_service": "false"}, 11260),
        ({"run_controller_service": "false", "http_port": "7"}, 7),
        ({"http_port": "-1"}, -1),
    ],
)
def test_each_half_has_its_own_port(flags: dict[str, object], port: int) -> None:
    """Both may run on one host's network, and dashboards look there."""
    assert filled(flags=flags, kind=Settings).metrics_port == port


def test_no_secret_is_shown() -> None:
    """Settings may end in a traceback or a log."""
    assert "hunter2" not in repr(filled(env={"PASSWORD": "hunter2"}, kind=Demanding))


def test_the_sources_of_identity_are_those_that_the_machine_s_part_knows() -> None:
    """Both have the list, since neither may import the other."""
    assert IDENTITY_SOURCES == identity.SOURCES
