"""The images as they are built: what is in them, what isn't, and that they run as pods run them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import image_base
import images
import pytest
from image_commands import ImageError, run
from mockcloud.hypervisor import loop

from diskcsi.host.linux.filesystems import DEFAULT_OPTIONS
from tests.images.conftest import ROOT, Built

pytestmark = pytest.mark.images

IDENTITY = """
import asyncio, sys
from grpclib.client import Channel
from diskcsi._proto.csi.v1 import GetPluginInfoRequest, IdentityStub

async def ask():
    while True:
        channel = Channel(path="/csi/csi.sock")
        try:
            answer = await IdentityStub(channel).get_plugin_info(GetPluginInfoRequest())
        except OSError:
            await asyncio.sleep(0.02)
        else:
            return answer.name
        finally:
            channel.close()

async def main():
    driver = await asyncio.create_subprocess_exec(
        "diskcsi", "run", "--provider=local", "--run-node-service=false",
        "--endpoint=unix:///csi/csi.sock", "--directory=/csi/disks", stderr=2,
    )
    print(await asyncio.wait_for(ask(), 20))
    driver.terminate()
    sys.exit(await driver.wait())
asyncio.run(main())
"""
"""Starts the driver, asks it who it is, and ends it; the container's end is the driver's."""

SCRATCH = ("--tmpfs", "/csi:mode=0777")


def called_on_nodes() -> set[str]:
    """The commands that the driver's code for Linux starts: each list that begins with a name."""

    def lists(path: Path) -> Iterator[str]:
        for item in ast.walk(ast.parse(path.read_text())):
            if isinstance(item, ast.List) and item.elts and isinstance(item.elts[0], ast.Constant):
                yield str(item.elts[0].value)  # an option, where a list of them is passed on

    sources = (ROOT / "src/diskcsi/host/linux").glob("*.py")
    return {name for path in sources for name in lists(path) if not name.startswith("-")}


def test_the_code_s_commands_are_found() -> None:
    """An empty list of commands would be in every image."""
    assert {"blkid", "e2fsck", "mount", "xfs_growfs"} <= called_on_nodes()


def test_each_command_of_the_node_is_in_the_driver_s_image(driver: Built) -> None:
    """A missing tool would show on the first volume that needs it."""
    commands = {*called_on_nodes(), *(f"mkfs.{fs_type}" for fs_type in DEFAULT_OPTIONS)}
    done = driver.shell(
        "; ".join(f"command -v {name} >&2 || echo {name}" for name in sorted(commands))
    )
    assert done.stdout.split() == []


def test_each_command_of_the_loop_devices_is_in_the_mock_s_image(made: dict[str, Built]) -> None:
    """Its server refuses to start without them."""
    done = made["mockcloud"].shell("; ".join(f"command -v {n} >&2 || echo {n}" for n in loop.TOOLS))
    assert done.stdout.split() == []


def test_nothing_that_builds_is_left(built: Built) -> None:
    """What isn't there serves no attacker and has no flaws to mend."""
    done = built.shell("for name in pip pip3 gcc cc ld make; do command -v $name; done")
    assert done.stdout == ""


def test_no_python_of_it_installs(built: Built) -> None:
    """Neither the base's Python nor ours."""
    done = built.shell(
        "for python in python3 /usr/bin/python3 /usr/local/bin/python3; do "
        "for module in pip ensurepip setuptools; do "
        '$python -c "import $module" 2>/dev/null && echo $python has $module; '
        "done; done"
    )
    assert done.stdout == ""


def test_the_default_user_is_not_root(built: Built) -> None:
    """A pod that says nothing satisfies `runAsNonRoot`, which needs a number."""
    assert built.inspected()["Config"]["User"] == "65532:65532"


def test_labels_tell_what_it_is(built: Built) -> None:
    """Registries and scanners show what an image says of itself."""
    labels = built.inspected()["Config"]["Labels"]
    told = {
        name.removeprefix("org.opencontainers.image.") for name, value in labels.items() if value
    }
    assert {"title", "description", "licenses", "version", "base.name"} <= told


def test_the_label_has_the_package_s_version(driver: Built) -> None:
    """It is read from the project, not typed."""
    labels = driver.inspected()["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == images.IMAGES["diskcsi"].version()


def test_the_command_runs_on_a_read_only_root(built: Built) -> None:
    """Pods run so; whatever is written goes to a volume."""
    assert built.run("--version").returncode == 0


def test_the_driver_answers_on_a_read_only_root_as_nobody(driver: Built) -> None:
    """From the start to a clean end at SIGTERM, with one writable directory for its socket."""
    done = driver.run("-c", IDENTITY, options=(*SCRATCH, "--entrypoint", "/opt/diskcsi/bin/python"))
    assert (done.stdout.strip(), done.returncode) == ("local.diskcsi.io", 0), done.stderr


def test_every_module_has_its_bytecode(built: Built) -> None:
    """On a read-only root nothing can be compiled later, and each start would do it again."""
    done = built.shell(
        "find /opt/*/lib -name '*.py' | while read -r f; do "
        'b=${f##*/}; ls "${f%/*}/__pycache__/${b%.py}".cpython-*.pyc >/dev/null 2>&1 || echo "$f"; done'
    )
    assert done.stdout == ""


def test_a_provider_s_wheel_is_found_by_the_driver(driver: Built) -> None:
    """Another cloud's provider is one build argument away."""
    done = driver.run("run", "--provider", "folder", "--help")
    assert "Settings of provider folder" in done.stdout, done.stderr


def test_the_sbom_names_what_python_imports_and_what_debian_installed(driver: Built) -> None:
    """Both kinds are asked of the image itself."""
    document = json.loads((driver.output / "diskcsi.sbom.json").read_text())
    names = {component["name"] for component in document["components"]}
    assert {"grpclib", "diskcsi-folder", "e2fsprogs", "libc6"} <= names


def test_an_exchanged_wheel_ends_the_build(docker: None, tmp_path: Path) -> None:
    """What is installed is what the lock file names, whatever lies in the context."""
    base = image_base.choose("auto", image_base.Debian())
    images.main(["context", "--base", base, "--image", "mockcloud", "--output", str(tmp_path)])
    context = tmp_path / "mockcloud"
    (wheel,) = context.glob("wheels/click-*.whl")
    with wheel.open("ab") as opened:
        opened.write(b"more")
    dockerfile = images.IMAGES["mockcloud"].dockerfile
    with pytest.raises(ImageError, match="DO NOT MATCH THE HASHES"):
        run(
            "docker",
            "build",
            "--force-rm",
            "--file",
            dockerfile,
            "--build-arg",
            f"BASE={base}",
            context,
        )
