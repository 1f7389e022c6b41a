"""Write the reference pages that follow from the code, or check that they are up to date.

python tools/reference.py            write them
python tools/reference.py --check    compare; exit status 1 and the differing files otherwise

Pages: RAM policies by feature, class parameters, settings of driver and providers, metrics.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

import reference_metrics
import reference_ram

from diskcsi.model.schema import Key, Schema
from diskcsi.model.sizes import SizeRange
from diskcsi.ports.settings import settings_of
from diskcsi.providers import registry
from diskcsi.providers.alibaba.categories import (
    DEFAULT_CATEGORIES,
    MULTI_ATTACH_CATEGORIES,
    SIZES,
    UNSERVED,
)
from diskcsi.providers.alibaba.schemas import SNAPSHOT_SCHEMA, VOLUME_SCHEMA
from diskcsi.settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent

PROVIDERS: Final = ("alibaba", "local")
"""Those that come with the driver; another one's settings are told by `run --provider NAME --help`."""

NO_EFFECT: Final = "has no effect"
"""The help of keys whose warning says it better."""

PARAMETERS: Final = """# Parameters of classes

What a StorageClass and a VolumeSnapshotClass of the provider `alibaba` may say. How to use them:
[storage classes](../operations/storage-classes.md).

- A key that is not listed is refused by name, on the claim's events. Keys that begin with `csi.storage.k8s.io/` belong to the sidecars and
  always pass.
- A boolean is `true`, `yes`, `1` or `false`, `no`, `0`, in any case. Spaces around values and around items of a list don't count.
- In Kubernetes all values are texts: write `"true"`, `"30"`.

## StorageClass

| Key | Default | What it does |
|---|---|---|
{volume}
## Known from the Go driver, and refused

| Key | Why, and what to do instead |
|---|---|
{refused}
## VolumeSnapshotClass

| Key | Default | What it does |
|---|---|---|
{snapshot}
## Categories and their sizes

`type` names categories; the default is `{default}`. Where a list is given, the first one that the cloud sells in the zone in that size is taken.

| Category | performanceLevel | From GiB | To GiB | For several nodes (`multiAttach`) |
|---|---|---|---|---|
{sizes}
Refused by name: {unserved}.

Generated from the provider's schemas by `tools/reference.py`.
"""

SETTINGS: Final = """# Settings

What `diskcsi run` can be told. A setting is taken from its flag, else from its environment variable, else from the file that `--config` names,
else its default stands. In the file the driver's settings stand at the top and a provider's in a table of its name, each by the name in the
first column. The flag is the same name with hyphens: `device_wait_s` is `--device-wait-s`. Settings without a flag are secrets: arguments
are public on a machine.

The chart writes that file from `driver.settings` and `provider.settings`, and sets some of the driver's by flags. The file is a ConfigMap, so
the chart refuses secrets in it, and names the way for each: the key pair into the Secret that `credentials.existingSecret` names, the others
by their environment variable, from a Secret that `controller.envFrom` names. Of `proxy` only an address with user and password is secret. A value that can't be
read, or a name that is unknown, stops the start, and the message names it.

`--provider` (`DISKCSI_PROVIDER`, default `alibaba`) chooses the provider. One that was added to the image tells its settings by
`diskcsi run --provider NAME --help`.

{tables}
Generated from the settings' declarations by `tools/reference.py`.
"""

SETTINGS_HEAD: Final = """## {title}

| Setting | Environment | Default | What it is |
|---|---|---|---|
"""


def parameters_page() -> str:
    """StorageClass and snapshot class keys, and what categories are sold in."""
    return PARAMETERS.format(
        volume="".join(_key_rows(VOLUME_SCHEMA)),
        refused="".join(
            f"| `{key.name}` | {key.refused} |\n" for key in VOLUME_SCHEMA.keys if key.refused
        ),
        snapshot="".join(_key_rows(SNAPSHOT_SCHEMA)),
        default=",".join(DEFAULT_CATEGORIES),
        sizes="".join(_size_row(*kind, sizes) for kind, sizes in SIZES.items()),
        unserved="; ".join(f"`{name}`, {what}" for name, what in UNSERVED.items()),
    )


def _key_rows(schema: Schema) -> Iterator[str]:
    for key in schema.keys:
        if not key.refused:
            told = key.warning if key.help == NO_EFFECT else key.help
            yield f"| {_key_name(key)} | {_shown(key.default)} | {told} |\n"


def _key_name(key: Key) -> str:
    names = [f"`{name}{'NAME' if key.prefix else ''}`" for name in (key.name, *key.aliases)]
    return f"{' or '.join(names)}{', in any case' if key.any_case else ''}"


def _size_row(category: str, level: str, sizes: SizeRange) -> str:
    shared = "yes" if category in MULTI_ATTACH_CATEGORIES else "no"
    low, high = (sizes.min_gib, sizes.max_gib) if sizes != SizeRange() else ("not published",) * 2
    return f"| `{category}` | {level or 'none'} | {low} | {high} | {shared} |\n"


def settings_page() -> str:
    """Every setting of the driver and of the providers that come with it."""
    tables: dict[str, type] = {
        "The driver's own": Settings,
        **{f"Provider {name}": registry.load(name).settings_type for name in PROVIDERS},
    }
    told = ["".join(_settings_table(title, of)) for title, of in tables.items()]
    return SETTINGS.format(tables="\n".join(told))


def _settings_table(title: str, settings_type: type) -> Iterator[str]:
    yield SETTINGS_HEAD.format(title=title)
    told = settings_of(settings_type)
    for field in fields(settings_type):
        one = told[field.name]
        env = ", ".join(f"`{name}`" for name in one.env)
        secret = " (secret: no flag)" if one.secret else ""
        yield f"| `{field.name}` | {env} | {_shown(field.default)} | {one.help}{secret} |\n"


def _shown(default: object) -> str:
    """A default as people write it; nothing where there is none."""
    if default is None or default in ("", (), {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, (tuple, list)):
        return f"`{','.join(map(str, default))}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def pages() -> dict[str, str]:
    """Every page by its path below the root."""
    return {
        "docs/reference/ram-policies.md": reference_ram.page(ROOT),
        "docs/reference/class-parameters.md": parameters_page(),
        "docs/reference/settings.md": settings_page(),
        "docs/operations/metrics.md": reference_metrics.page(),
    }


def main(arguments: list[str]) -> int:
    """Write, or with --check compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for name, wanted in pages().items():
        target = ROOT / name
        if target.exists() and target.read_text() == wanted:
            continue
        stale += 1
        print(f"{'differs' if arguments else 'written'}: {name}")
        if not arguments:
            target.write_text(wanted)
    if arguments and stale:
        print("write them anew: python tools/reference.py")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
