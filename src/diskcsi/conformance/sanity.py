"""The stock csi-sanity, against controller and node of this provider."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from diskcsi.conformance import processes
from diskcsi.conformance.report import Result, Subject
from diskcsi.orchestrator.processes import ProgramFailed, completed

GIB: Final = 1024**3
LIMIT_S: Final = 1800.0
"""Ninety specs; a real cloud takes a minute for some of them."""

CODE: Final = re.compile(r"rpc error: code = .*")
"""What the driver answered, in the many lines of a failure."""

WITH_SECRETS: Final = (
    "CreateVolume", "DeleteVolume", "ControllerPublishVolume", "ControllerUnpublishVolume",
    "ControllerValidateVolumeCapabilities", "NodeStageVolume", "NodePublishVolume",
    "ControllerExpandVolume", "CreateSnapshot", "DeleteSnapshot", "ListSnapshots",
)  # fmt: skip
"""Calls to which it adds a secret, as some clusters do: they must do no harm."""

HOW_TO_GET: Final = (
    "csi-sanity is not on the search path: `go install"
    " github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@v5.5.0`, or --csi-sanity PATH"
)


def found(given: str) -> str | None:
    """The binary: what was given, else what the search path has."""
    return shutil.which(given or "csi-sanity")


async def run(subject: Subject, binary: str, access: str) -> Result:
    """Every spec of what is advertised, on volumes of `mount` or `block` access."""
    result = Result(part=f"csi-sanity, {access}")
    report = subject.directory / f"csi-sanity-{access}.json"
    begun_s = time.monotonic()
    try:
        async with processes.serving(subject) as pair:
            command = [
                binary,
                f"--csi.endpoint=unix://{pair.node.socket}",
                f"--csi.controllerendpoint=unix://{pair.controller.socket}",
                f"--csi.mountdir={subject.directory}/mount",
                f"--csi.stagingdir={subject.directory}/staging",
                f"--csi.testvolumesize={subject.size_gib * GIB}",
                f"--csi.testvolumeexpandsize={subject.larger_gib * GIB}",
                f"--csi.testvolumeparameters={_parameters(subject)}",
                f"--csi.secrets={_secrets(subject)}",
                f"--csi.testvolumeaccesstype={access}",
                "--ginkgo.no-color",
                f"--ginkgo.json-report={report}",
            ]
            code, output = await completed(command, timeout_s=LIMIT_S)
    except (ProgramFailed, TimeoutError) as error:
        result.reason = str(error) or f"csi-sanity did not end in {LIMIT_S:g} s"
    else:
        _read(result, report, code, output)
    result.seconds = time.monotonic() - begun_s
    return result


def _read(result: Result, report: Path, code: int, output: str) -> None:
    if not report.exists():
        result.reason = f"csi-sanity ended with {code} and no report:\n{output[-2000:]}"
        return
    for suite in json.loads(report.read_text()):
        for spec in suite["SpecReports"] or ():
            _count(result, spec)
    if result.broken or code:
        click.echo(output)
    if code and not result.broken:
        result.reason = f"csi-sanity ended with {code}; its words are above"


def _count(result: Result, spec: Mapping[str, Any]) -> None:
    """One spec, in the form that Ginkgo reports it (its types.SpecReport)."""
    match spec["State"]:
        case "passed":
            result.passed += spec["LeafNodeType"] == "It"
        case "skipped":
            result.skipped[spec.get("Failure", {}).get("Message") or "no reason told"] += 1
        case "pending":
            result.skipped["csi-sanity itself leaves it out"] += 1
        case _:
            name = " ".join([*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"]])
            told = str(spec.get("Failure", {}).get("Message", ""))
            reason = CODE.search(told)
            result.broken.append(f"{name}: {reason[0] if reason else told.partition(chr(10))[0]}")


def _parameters(subject: Subject) -> Path:
    path = subject.directory / "parameters.yaml"
    lines = [f'{key}: "{value}"\n' for key, value in subject.parameters.items()]
    path.write_text("".join(lines) or "{}\n")
    return path


def _secrets(subject: Subject) -> Path:
    path = subject.directory / "secrets.yaml"
    path.write_text(json.dumps({f"{call}Secret": {"word": "unused"} for call in WITH_SECRETS}))
    return path
