"""The agent's parts, each alone."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner
from mockcloud.agent.devices import Devices, Unable
from mockcloud.agent.node import Away, NodeFacts, instance_id, read_node
from mockcloud.cli import main

NODE = {
    "metadata": {
        "name": "worker-1",
        "uid": "object-uid",
        "labels": {
            "topology.kubernetes.io/zone": "cn-hangzhou-h",
            "topology.kubernetes.io/region": "cn-hangzhou",
            "node.kubernetes.io/instance-type": "ecs.g6.large",
        },
    },
    "status": {"nodeInfo": {"systemUUID": "system-uuid"}},
}


def test_a_node_is_known_by_its_labels() -> None:
    """Zone, region and type; its identity comes from the machine."""
    assert NodeFacts.of(NODE) == NodeFacts(
        name="worker-1",
        instance=instance_id("worker-1", "system-uuid"),
        zone="cn-hangzhou-h",
        region="cn-hangzhou",
        instance_type="ecs.g6.large",
    )


def test_a_node_without_labels_and_system_id_is_known_by_its_object() -> None:
    """What isn't told is empty."""
    bare = {"metadata": {"name": "worker-1", "uid": "object-uid"}, "status": {"nodeInfo": {}}}
    expected = NodeFacts(name="worker-1", instance=instance_id("worker-1", "object-uid"))
    assert NodeFacts.of(bare) == expected


def test_an_instances_id_has_the_form_of_the_clouds() -> None:
    """The same each time, and another for each machine and name."""
    ids = {instance_id(name, system) for name in "ab" for system in ("1", "2", "1")}
    assert len(ids) == 4
    assert all(len(one) == 22 and one.startswith("i-") and one[2:].isalnum() for one in ids)


def ended(*command: str) -> subprocess.CompletedProcess[str]:
    """A program that has run to its end."""
    return subprocess.run(
        command, env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """An API server of one node, and the account of a pod that may ask it."""

    port: str
    account: Path


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """One that answers the pod's own token alone."""
    made = ended(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", f"{tmp_path}/key", "-out", f"{tmp_path}/ca.crt",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (tmp_path / "token").write_text("pod-token\n")

    async def node(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer pod-token":
            return web.Response(status=401)
        name = request.match_info["name"]
        if name == "odd":
            return web.json_response(["no node"])
        if name == "cut":
            return web.Response(text='{"metadata": ', content_type="application/json")
        if name != "worker-1":
            return web.Response(status=404)
        return web.json_response(NODE)

    app = web.Application()
    app.router.add_get("/api/v1/nodes/{name}", node)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield ApiServer(port=str(runner.addresses[0][1]), account=tmp_path)
    await runner.cleanup()


async def test_a_node_is_read_with_the_pods_account(api_server: ApiServer) -> None:
    """Its certificate is the one the cluster gave."""
    facts = await read_node(
        "worker-1", host="127.0.0.1", port=api_server.port, account=api_server.account
    )
    assert facts.zone == "cn-hangzhou-h"


async def test_an_api_server_that_refuses_is_told(api_server: ApiServer) -> None:
    """With what it answered, and for which node."""
    with pytest.raises(Away, match="answers 404 when asked for node worker-2"):
        await read_node(
            "worker-2", host="127.0.0.1", port=api_server.port, account=api_server.account
        )


@pytest.mark.parametrize("name", ["odd", "cut"])
async def test_an_answer_that_is_no_node_is_told(api_server: ApiServer, name: str) -> None:
    """It is asked again, as after any other trouble."""
    with pytest.raises(Away, match=f"asked for node {name}.*with something else"):
        await read_node(name, host="127.0.0.1", port=api_server.port, account=api_server.account)


async def test_a_pod_without_an_account_says_so(tmp_path: Path) -> None:
    """Nothing is asked without one."""
    with pytest.raises(Away, match="there is no service account"):
        await read_node("worker-1", host="127.0.0.1", port="1", account=tmp_path)


def test_a_device_that_cannot_be_taken_away_hinders_no_other(tmp_path: Path) -> None:
    """It is told with its reason."""
    by_id, own = tmp_path / "disk/by-id", tmp_path / "mockcloud"
    by_id.mkdir(parents=True)
    (own / "loop1").mkdir(parents=True)
    (own / "loop2").touch()
    for number in (1, 2):
        (by_id / f"virtio-s{number}").symlink_to(f"../../mockcloud/loop{number}")
    outcome = Devices(root=tmp_path).converge((), force=True)
    assert list(outcome.failed) == ["s1"]
    assert "loop1" in outcome.failed["s1"]
    assert not (own / "loop2").exists()


@pytest.mark.host
def test_the_clouds_address_is_the_loopbacks_while_it_is_served() -> None:
    """It is gone afterwards; in a network of its own, as a node's is."""
    program = (
        "import subprocess\n"
        "from mockcloud.agent.address import of_this_machine\n"
        "def there():\n"
        "    told = subprocess.check_output(['ip', '-4', 'addr', 'show', 'dev', 'lo'])\n"
        "    return b'inet 100.100.100.200/32 ' in told\n"
        "seen = [there()]\n"
        "with of_this_machine('100.100.100.200'):\n"
        "    with of_this_machine('100.100.100.200'): seen.append(there())\n"
        "seen.append(there())\n"
        "print(seen)"
    )
    ran = ended("unshare", "--net", sys.executable, "-c", program)
    assert ran.stdout == "[False, True, False]\n", ran.stderr


@pytest.mark.host
def test_an_agent_that_may_not_make_nodes_is_refused(tmp_path: Path) -> None:
    """In words that name what its pod needs; so it is where root lacks the capability."""
    token = tmp_path / "token"
    token.write_text("t")
    ran = ended(
        "setpriv", "--bounding-set=-mknod", sys.executable, "-m", "mockcloud", "agent",
        "--server=http://127.0.0.1:1", f"--token-file={token}", "--node-name=one",
        f"--device-root={tmp_path}", "--system-id=s", "--metadata-address=",
    )  # fmt: skip
    assert ran.returncode == 1
    assert f"device nodes can't be made or opened in {tmp_path}" in ran.stderr
    assert "privileged pod, with the node's /dev at --device-root" in ran.stderr


@pytest.mark.host
def test_two_agents_share_no_directory(tmp_path: Path) -> None:
    """Each would take away what the other brought; a third one has a directory of its own."""
    Devices(root=tmp_path).prove()
    with pytest.raises(Unable, match=f"another agent has the disks in {tmp_path}"):
        Devices(root=tmp_path).prove()
    Devices(root=tmp_path / "third").prove()


@pytest.mark.host
def test_an_agent_outside_a_cluster_needs_to_be_told_who_it_is(tmp_path: Path) -> None:
    """It names the flags."""
    token = tmp_path / "token"
    token.write_text("t")
    ran = CliRunner().invoke(
        main,
        ["agent", "--server=http://127.0.0.1:1", f"--token-file={token}", "--node-name=one",
         f"--device-root={tmp_path / 'dev'}", "--loop-nodes=0", "--kubernetes-host=",
         "--metadata-address="],
    )  # fmt: skip
    assert "there is no Kubernetes here to ask for the node; tell --system-id" in ran.output


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--metadata-address=here", "'here': allowed is an IPv4 address, or nothing"),
        ("--metadata-address=::1", "'::1': allowed is an IPv4 address, or nothing"),
        ("--metadata-port=0", "0 is not in the range 1<=x<=65535"),
    ],
)
def test_an_address_for_metadata_that_is_none_is_refused(
    tmp_path: Path, flag: str, words: str
) -> None:
    """By its flag, before anything is done."""
    token = tmp_path / "token"
    token.write_text("t")
    ran = CliRunner().invoke(
        main,
        ["agent", "--server=http://127.0.0.1:1", f"--token-file={token}", "--node-name=one",
         f"--device-root={tmp_path / 'dev'}", flag],
    )  # fmt: skip
    assert (ran.exit_code, words in ran.output) == (2, True)


@pytest.mark.parametrize("held", ["", "\n", "one\ntwo"])
def test_a_file_without_a_token_is_told(tmp_path: Path, held: str) -> None:
    """It names the file, and the agent doesn't begin."""
    token = tmp_path / "token"
    token.write_text(held)
    ran = CliRunner().invoke(
        main,
        ["agent", "--server=http://127.0.0.1:1", f"--token-file={token}", "--node-name=one",
         f"--device-root={tmp_path / 'dev'}", "--loop-nodes=0", "--system-id=s",
         "--metadata-address="],
    )  # fmt: skip
    assert f"{token} holds no token" in ran.output


@pytest.mark.host
def test_a_node_gets_the_loop_nodes_that_kubelet_needs(tmp_path: Path) -> None:
    """Those that are there stay as they are."""
    token, there = tmp_path / "token", tmp_path / "dev/loop1"
    token.write_text("t")
    there.parent.mkdir()
    there.touch()
    CliRunner().invoke(
        main,
        ["agent", "--server=http://127.0.0.1:1", f"--token-file={token}", "--node-name=one",
         f"--device-root={there.parent}", "--loop-nodes=3", "--kubernetes-host=",
         "--metadata-address="],
    )  # fmt: skip
    made = [(there.parent / f"loop{number}").is_block_device() for number in range(4)]
    assert made == [True, False, True, False]


def test_a_server_for_agents_needs_a_directory_and_a_secret() -> None:
    """Neither has a default that would do."""
    ran = CliRunner().invoke(main, ["serve", "--hypervisor=agent"])
    assert "tell --root, where disks stay, and --agent-token-file" in ran.output
