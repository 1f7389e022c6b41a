"""The stock csi-sanity, as other people's judgement of the driver."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.system.conftest import Stack

GIB = 1024**3


def _binary() -> str:
    given = os.environ.get("DISKCSI_CSI_SANITY")
    assert given, "DISKCSI_CSI_SANITY has to name the binary; `nox -s sanity` builds it"
    return given


@pytest.mark.sanity
@pytest.mark.timeout(300)
@pytest.mark.parametrize("access", ["mount", "block"])
def test_csi_sanity_passes_every_spec_of_what_is_advertised(stack: Stack, access: str) -> None:
    """No spec fails; the cloud of this run lets a disk be snapshotted that was never attached."""
    parameters = stack.directory / "parameters.yaml"
    parameters.write_text("type: cloud_ssd\nzoneId: cn-hangzhou-g\n")
    command = [
        _binary(),
        f"--csi.endpoint=unix://{stack.node.socket}",
        f"--csi.controllerendpoint=unix://{stack.controller.socket}",
        f"--csi.mountdir={stack.directory}/mount",
        f"--csi.stagingdir={stack.directory}/staging",
        f"--csi.testvolumesize={20 * GIB}",
        f"--csi.testvolumeexpandsize={21 * GIB}",
        f"--csi.testvolumeparameters={parameters}",
        f"--csi.testvolumeaccesstype={access}",
        "--ginkgo.no-color",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    summary = re.search(r"(\d+) Passed \| 0 Failed", done.stdout)
    assert done.returncode == 0, done.stdout[-4000:]
    assert summary is not None
    assert int(summary[1]) >= 60
