"""What the chart writes is what the programs read: the file, and the arguments."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from diskcsi.cli import main
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.settings import SettingsError
from tests.k8s.charts import REGION, ROOT, Helm, config, container, filled

pytestmark = pytest.mark.k8s

FILES = [
    *(ROOT / "k8s" / "values" / f"{name}.yaml" for name in ("ack", "self-built", "rainbond")),
    Path(__file__).parent / "values" / "everything-on.yaml",
]


def test_settings_of_every_type_arrive_as_they_were_given(helm: Helm) -> None:
    """Whole numbers stay whole, and quotes and backslashes are themselves."""
    given = {"a": 'quo"te\\ é', "b": 5, "c": 2.5, "d": True, "e": ["one", "two"], "f": 1000000}
    rendered = helm.render(
        values={
            "provider": {"name": "folder", "settings": given},
            "driverName": "folder.example.org",
            "driver": {"settings": {"device_wait_s": 60}},
        }
    )
    assert config(rendered) == {"device_wait_s": 60, "folder": given}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_the_driver_reads_the_file_of_every_example_for_alibaba(helm: Helm, file: Path) -> None:
    """No key of it is unknown, no value of it unreadable."""
    told = config(helm.render(files=(file,)))
    assert filled(told, "alibaba")[1].region


def test_in_kind_the_driver_calls_the_mock(helm: Helm) -> None:
    """The endpoint is the mock's Service, with the mock's own key and the nodes' own region."""
    rendered = helm.render("diskcsi-kind", namespace="anywhere")
    _, alibaba = filled(config(rendered), "alibaba")
    service = rendered.one("Service", "mockcloud")
    port = service["spec"]["ports"][0]["port"]
    assert alibaba.endpoint == f"http://{service['metadata']['name']}:{port}"
    key = rendered.one("Secret", "-credentials")["stringData"]
    world = tomllib.loads(rendered.one("Secret", "-world")["stringData"]["world.toml"])
    assert [(one["id"], one["secret"]) for one in world["keys"]] == [(key["id"], key["secret"])]
    assert alibaba.region == next(iter(world["regions"]))


def test_disks_of_a_type_reach_the_nodes_as_their_limit(helm: Helm) -> None:
    """Written as values are: one item for each type."""
    settings = {
        "region": "cn-hangzhou",
        "disk_quantities": ["ecs.g8i.large=9", "ecs.g8i.xlarge=17"],
    }
    rendered = helm.render(values={"provider": {"settings": settings}})
    limit = ALIBABA.rules(filled(config(rendered), "alibaba")[1]).volume_limit
    assert [limit(f"ecs.g8i.{size}") for size in ("large", "xlarge")] == [9, 17]


def test_an_unknown_setting_is_told_by_the_driver_itself(helm: Helm) -> None:
    """The chart knows no provider's settings."""
    rendered = helm.render(values={"provider": {"settings": {"region": "cn-a", "regoin": "cn-b"}}})
    with pytest.raises(SettingsError, match="unknown settings regoin"):
        filled(config(rendered), "alibaba")


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
@pytest.mark.parametrize(
    "values", [{}, {"node": {"nodeLabels": True}}, {"node": {"stockHelpers": True}}]
)
def test_the_driver_knows_every_argument_that_it_is_given(
    helm: Helm, kind: str, values: dict[str, Any]
) -> None:
    """Its command line refuses what it doesn't know."""
    driver = container(helm.render(values=REGION | values).one(kind), "diskcsi")
    command, *arguments = driver["args"]
    context = main.commands[command].make_context(command, list(arguments))
    assert context.params["run_node_service"] == str(kind == "DaemonSet").lower()


def test_the_mock_knows_every_argument_that_it_is_given(helm: Helm, tmp_path: Path) -> None:
    """Server and agents: their command line refuses what it doesn't know."""
    from mockcloud.cli import main as mock  # its own to say

    rendered = helm.render("mockcloud", release="mockcloud", values={"steps": {"attach": "0.5"}})
    for kind in ("Deployment", "DaemonSet"):
        command, *arguments = container(rendered.one(kind), "mockcloud")["args"]
        there = [one.replace("/etc/mockcloud", str(tmp_path)) for one in arguments]
        for name in ("world/world.toml", "agent/token"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("a-token")
        mock.commands[command].make_context(command, there)


def test_the_mock_starts_with_the_world_that_the_chart_writes(helm: Helm) -> None:
    """Odd ways and places are the ones of the values, and machines come from agents."""
    from mockcloud.engine.world import parse_world  # what it means is the mock's to say

    rendered = helm.render(
        "mockcloud",
        release="mockcloud",
        values={"knobs": {"writes_per_minute": 100}, "soldOut": ["cn-hangzhou-g/cloud_ssd"]},
    )
    world = parse_world(rendered.one("Secret", "-world")["stringData"]["world.toml"])
    assert world.knobs.writes_per_minute == 100
    assert world.sold_out == {"cn-hangzhou-g/cloud_ssd"}
    assert not world.machines
