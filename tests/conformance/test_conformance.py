"""The command that proves a provider, as its author runs it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "diskcsi", "conformance"]
INSTANCES = ("i-bp1mockcloudnode0001", "i-bp1mockcloudnode0002")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def on_local(directory: Path) -> list[str]:
    return [
        "local", f"--directory={directory}", "--node-id=n1", "--nodes=n1,n2", "--other-node=n2",
        "--identity-sources=loop", f"--device-root={directory}/nodes/n1/dev",
    ]  # fmt: skip


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, since sockets lie in it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def endpoint(directory: Path) -> Iterator[str]:
    """A cloud with loop disks under `directory/cloud`."""
    command = [
        sys.executable, "-m", "mockcloud", "serve", "--port=0", "--latency=zero",
        "--hypervisor=loop", f"--root={directory}/cloud",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 20)[0]
        yield process.stdout.readline().split()[1]
        process.terminate()
        process.stdout.read()


def of_part(output: str, part: str) -> tuple[int, int]:
    """How much of a part passed and failed."""
    found = re.search(rf"^{part} +(\d+) +(\d+) ", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1]), int(found[2])


@pytest.mark.sanity
@pytest.mark.timeout(300)
def test_local_is_proved_whole(directory: Path) -> None:
    """Contract, life and csi-sanity, in one command."""
    binary = os.environ["DISKCSI_CSI_SANITY"]
    done = run(*on_local(directory), f"--csi-sanity={binary}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert of_part(done.stdout, "csi-sanity, block")[0] >= 60


@pytest.mark.host
def test_a_cloud_behind_http_is_proved_by_contract_and_life(directory: Path, endpoint: str) -> None:
    """The same command, with the settings of that provider."""
    done = run(
        "alibaba", "--part=contract", "--part=life", "--class=type=cloud_ssd",
        f"--other-node={INSTANCES[1]}", "--attach-before-snapshot", "--identity-sources=loop",
        f"--device-root={directory}/cloud/{INSTANCES[0]}/dev",
        f"--metadata-url={endpoint}/_imds/{INSTANCES[0]}",
        ALIBABA_CLOUD_ACCESS_KEY_ID="mockcloud-key-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="mockcloud-key-secret",
        REGION_ID="cn-hangzhou",
        ECS_ENDPOINT=endpoint.removeprefix("http://"),
        ALICLOUD_CLIENT_SCHEME="http",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert of_part(done.stdout, "provider contract")[0] >= 50
    assert of_part(done.stdout, "life over sockets")[1] == 0


@pytest.mark.host
def test_a_provider_that_breaks_a_promise_fails(directory: Path) -> None:
    """Nodes that it never finds: the command says so by its exit status."""
    sabotage = directory / "sitecustomize.py"
    sabotage.write_text(
        "from diskcsi.providers.local.cloud import LocalCloud\n"
        "async def nobody(self, node_id): return None\n"
        "LocalCloud.get_node = nobody\n"
    )
    done = run(*on_local(directory / "disks"), "--part=contract", PYTHONPATH=str(directory))
    assert done.returncode == 1
    assert of_part(done.stdout, "provider contract")[1] > 0


def test_without_a_second_node_it_says_what_to_name(directory: Path) -> None:
    """Before anything is made."""
    done = run("local", f"--directory={directory}", "--part=contract")
    assert done.returncode == 1
    assert "--other-node" in done.stderr


def test_without_csi_sanity_it_says_how_to_get_it(directory: Path) -> None:
    """Before anything is made."""
    done = run(*on_local(directory), "--csi-sanity=/nowhere")
    assert "go install" in done.stderr


def test_an_unknown_provider_is_told_with_the_installed_ones() -> None:
    """A name that was misspelled is the usual reason."""
    done = run("lokal")
    assert re.search(r"no provider named 'lokal'; installed: .*local", done.stderr)
