"""What an image is made of, as a CycloneDX document: every Python and every Debian package.

The image itself is asked, so a package that came in by whatever way is told. The same image gives
the same document.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from image_commands import run
from packageurl import PackageURL

LONGEST_LICENSE: Final = 100
"""Some packages have the whole text where its name belongs."""

ASK_PACKAGES: Final = """
import importlib.metadata, json, platform, subprocess
fields = "${Package} ${Version} ${Architecture} ${db:Status-Status}\\n"
debian = subprocess.run(
    ["dpkg-query", "--show", "--showformat", fields], capture_output=True, text=True, check=True
).stdout
print(json.dumps({
    "python": [
        [found.name, found.version,
         found.metadata.get("License-Expression") or found.metadata.get("License") or ""]
        for found in importlib.metadata.distributions()
    ],
    "debian": [line.split()[:3] for line in debian.splitlines() if line.endswith(" installed")],
    "system": platform.freedesktop_os_release(),
}))
"""


def write(image: str, target: Path) -> None:
    """Ask the image and write its document.

    Raises:
        ImageError: docker has no such image, or it isn't one of ours.
    """
    (inspected,) = json.loads(run("docker", "image", "inspect", image))
    python = f"{Path(inspected['Config']['Entrypoint'][0]).parent}/python"
    answer = run(
        "docker", "run", "--rm", "--network", "none", "--entrypoint", python, image,
        "-c", ASK_PACKAGES,
    )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(document(image, inspected, json.loads(answer)) + "\n")


def document(image: str, inspected: dict[str, Any], packages: dict[str, Any]) -> str:
    """The document, from what docker and the image have said."""
    name, _, version = image.rpartition(":")
    whole = Component(
        type=ComponentType.CONTAINER, name=name, version=version, bom_ref=inspected["Id"]
    )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{image}@{inspected['Id']}"),
        metadata=BomMetaData(component=whole, timestamp=_created(inspected["Created"])),
        components=[*_python(packages["python"]), *_debian(packages)],
    )
    bom.register_dependency(whole, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _python(found: list[tuple[str, str, str]]) -> Iterator[Component]:
    for name, version, license_name in found:
        purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
        named = license_name and len(license_name) <= LONGEST_LICENSE
        yield Component(
            type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=str(purl),
            licenses=[LicenseFactory().make_from_string(license_name)] if named else [],
        )  # fmt: skip


def _debian(packages: dict[str, Any]) -> Iterator[Component]:
    system = packages["system"]
    distribution = f"{system['ID']}-{system['VERSION_ID']}"
    for name, version, architecture in packages["debian"]:
        told = {"arch": architecture, "distro": distribution}
        purl = PackageURL("deb", system["ID"], name, version, told)
        yield Component(
            type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=str(purl)
        )


def _created(told: str) -> dt.datetime:
    """Docker tells nanoseconds, which Python can't hold."""
    return dt.datetime.fromisoformat(f"{told[:19]}+00:00")
