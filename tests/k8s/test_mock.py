"""The mock in a cluster: one server, an agent on every node, and a secret that they share."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.k8s.charts import Helm, Refused, container, pod

pytestmark = pytest.mark.k8s


def test_there_are_never_two_servers(helm: Helm) -> None:
    """Each would take the other's files for its own: the old one ends first."""
    spec = helm.render("mockcloud", release="mockcloud").one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_agents_are_ready_when_their_node_is_a_machine_of_the_cloud(helm: Helm) -> None:
    """Kubelet asks the node's own metadata service, unless that wants a token first."""
    agent = container(helm.render("mockcloud", release="mockcloud").one("DaemonSet"), "mockcloud")
    strict = helm.render(
        "mockcloud", release="mockcloud", values={"knobs": {"metadata_tokens_required": True}}
    )
    assert agent["readinessProbe"]["httpGet"]["host"] == "100.100.100.200"
    assert "readinessProbe" not in container(strict.one("DaemonSet"), "mockcloud")


@pytest.mark.parametrize(
    "address", ["localhost", "100.100.100.200:80", "100.100.200", "100.100.100.300"]
)
def test_an_address_that_no_machine_can_have_is_refused(helm: Helm, address: str) -> None:
    """An agent would find out on every node, over and over."""
    with pytest.raises(Refused, match="metadataAddress"):
        helm.render(
            "mockcloud", release="mockcloud", values={"agent": {"metadataAddress": address}}
        )


def test_a_cloud_may_tell_nobody_who_he_is(helm: Helm) -> None:
    """An empty address is none: the agents then are ready as soon as they run."""
    values = {"agent": {"metadataAddress": ""}}
    rendered = helm.render("mockcloud", release="mockcloud", values=values)
    assert "readinessProbe" not in container(rendered.one("DaemonSet"), "mockcloud")


@pytest.mark.parametrize(
    ("agent", "secret", "token"),
    [
        ({"token": "of-mine"}, "mockcloud-agent", b"of-mine"),
        ({"existingSecret": "made-before"}, "made-before", None),
    ],
)
def test_server_and_agents_read_one_secret(
    helm: Helm, agent: dict[str, str], secret: str, token: bytes | None
) -> None:
    """Who doesn't show it gets no orders."""
    rendered = helm.render("mockcloud", release="mockcloud", values={"agent": agent})
    mounted = {
        volume["secret"]["secretName"]
        for kind in ("Deployment", "DaemonSet")
        for volume in pod(rendered.one(kind))["volumes"]
        if volume["name"] in {"agent", "token"}
    }
    made = [base64.b64decode(one["data"]["token"]) for one in rendered.all("Secret", "-agent")]
    assert mounted == {secret}
    assert made == ([token] if token else [])


def test_a_token_that_is_made_up_is_long(helm: Helm) -> None:
    """Nobody guesses it."""
    rendered = helm.render("mockcloud", release="mockcloud")
    assert len(base64.b64decode(rendered.one("Secret", "-agent")["data"]["token"])) == 40


def test_the_servers_log_tells_no_secret(helm: Helm, tmp_path: Path) -> None:
    """Who may read a pod's log needn't be one who may call its cloud."""
    rendered = helm.render("mockcloud", release="mockcloud")
    world, token = tmp_path / "world.toml", tmp_path / "token"
    world.write_text(rendered.one("Secret", "-world")["stringData"]["world.toml"])
    token.write_bytes(base64.b64decode(rendered.one("Secret", "-agent")["data"]["token"]))
    elsewhere = {  # no device of this machine is needed
        "--host": "127.0.0.1", "--port": "0", "--hypervisor": "none", "--root": str(tmp_path),
        "--world": str(world), "--agent-token-file": str(token),
    }  # fmt: skip
    args = container(rendered.one("Deployment"), "mockcloud")["args"]
    names = [one.partition("=")[0] for one in args]
    command = [
        f"{name}={elsewhere[name]}" if name in elsewhere else one
        for name, one in zip(names, args, strict=True)
    ]
    logged = log_of(command, last="Calls so far")
    assert elsewhere.keys() <= set(names)
    assert "key secret stands in " in logged
    assert "mockcloud-key-secret" not in logged
    assert token.read_text() not in logged


def log_of(command: list[str], *, last: str) -> str:
    """What the mock logs until it has logged its last words, and at its end."""
    with subprocess.Popen(
        [sys.executable, "-m", "mockcloud", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(last):
                process.send_signal(signal.SIGTERM)
        return "".join(lines)
