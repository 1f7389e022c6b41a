"""One command judges any installed provider, says what it left out, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.host.leftovers import left_below

Proof = Callable[..., subprocess.CompletedProcess[str]]

WITHOUT_SANITY = ("--part=contract", "--part=life")
INSTANCES = ("i-bp1mockcloudnode0001", "i-bp1mockcloudnode0002")


@pytest.fixture
def endpoint(directory: Path) -> Iterator[str]:
    """A cloud behind HTTP, with loop disks under `directory/cloud`."""
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


def left_behind(directory: Path) -> list[str]:
    """Loop devices, mounts and disks of this proof that are still there."""
    return [*left_below(directory), *map(str, directory.rglob("*.img"))]


@pytest.mark.host
@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
def test_a_good_provider_is_proved_and_nothing_is_left(
    prove: Proof, local: list[str], directory: Path, fs_type: str
) -> None:
    """The contract and a life on real devices hold."""
    done = prove(*local, *WITHOUT_SANITY, f"--fs-type={fs_type}")
    assert (done.returncode, left_behind(directory)) == (0, []), done.stdout + done.stderr


@pytest.mark.host
def test_a_cloud_behind_http_is_proved(prove: Proof, endpoint: str, directory: Path) -> None:
    """The same command, with the settings of that provider, secrets in the environment."""
    done = prove(
        "alibaba", *WITHOUT_SANITY, "--class=type=cloud_ssd", "--attach-before-snapshot",
        f"--other-node={INSTANCES[1]}", "--identity-sources=loop",
        f"--device-root={directory}/cloud/{INSTANCES[0]}/dev",
        f"--metadata-url={endpoint}/_imds/{INSTANCES[0]}",
        "--region=cn-hangzhou", "--ecs-scheme=http",
        f"--ecs-endpoint={endpoint.removeprefix('http://')}",
        ALIBABA_CLOUD_ACCESS_KEY_ID="mockcloud-key-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET="mockcloud-key-secret",
    )  # fmt: skip
    assert (done.returncode, left_behind(directory)) == (0, []), done.stdout + done.stderr


@pytest.mark.host
def test_an_installed_example_is_proved(
    prove: Proof, folder: list[str], with_example: Mapping[str, str]
) -> None:
    """A provider that this package doesn't know."""
    done = prove(*folder, *WITHOUT_SANITY, **with_example)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.host
def test_what_is_left_out_is_told_with_its_reason(
    prove: Proof, folder: list[str], with_example: Mapping[str, str]
) -> None:
    """A short proof must not look like a whole one."""
    done = prove(*folder, "--part=contract", **with_example)
    assert re.search(
        r"provider contract: \d+ skipped: this provider has no snapshots\n", done.stdout
    )


@pytest.mark.host
def test_a_provider_that_breaks_a_promise_fails_by_name(
    prove: Proof, folder: list[str], with_example: Mapping[str, str], directory: Path
) -> None:
    """The exit status and the words say so."""
    source = Path(with_example["PYTHONPATH"]) / "diskcsi_folder"
    broken = directory / "broken" / "diskcsi_folder"
    broken.mkdir(parents=True)
    for file in source.glob("*.py"):
        text = file.read_text().replace("raise AlreadyExists(", "print(")
        (broken / file.name).write_text(text)
    first = f"{broken.parent}:{with_example['PYTHONPATH']}"
    done = prove(*folder, "--part=contract", PYTHONPATH=first)
    told = "provider contract: failed: test_another_order_under_a_name_is_refused (call)\n"
    assert (done.returncode, told in done.stdout) == (1, True)


def test_a_missing_csi_sanity_is_told_with_the_way_to_get_it(
    prove: Proof, local: list[str]
) -> None:
    """Before anything is made."""
    done = prove(*local, PATH="/nowhere")
    assert "go install github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@" in done.stderr


def test_an_unknown_provider_is_told_with_the_installed_ones(prove: Proof) -> None:
    """A name that was misspelled is the usual reason."""
    done = prove("lokal")
    assert re.search(r"no provider named 'lokal'; installed: .*local", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--class", "type"], "allowed is KEY=VALUE"),
        (["--class", "tpye=file"], "unknown key 'tpye'"),
        (["--directory=here"], "allowed is an absolute path"),
        (["--other-node="], "name a second node"),
    ],
    ids=["no value", "unknown key", "bad setting", "one node"],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    prove: Proof, local: list[str], directory: Path, arguments: list[str], told: str
) -> None:
    """In one line that names it."""
    done = prove(*local, *WITHOUT_SANITY, *arguments)
    assert (done.returncode != 0, told in done.stderr, (directory / "disks").exists()) == (
        True,
        True,
        False,
    )


@pytest.mark.sanity
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["local", "folder"])
def test_stock_csi_sanity_passes_on_an_installed_provider(
    prove: Proof,
    request: pytest.FixtureRequest,
    with_example: Mapping[str, str],
    directory: Path,
    name: str,
) -> None:
    """Every spec of what it advertises, on mounted and raw volumes."""
    arguments = request.getfixturevalue(name)
    binary = os.environ["DISKCSI_CSI_SANITY"]
    done = prove(*arguments, "--part=sanity", f"--csi-sanity={binary}", **with_example)
    assert (done.returncode, left_behind(directory)) == (0, []), done.stdout[-4000:]
