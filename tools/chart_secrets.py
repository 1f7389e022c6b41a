"""Write the chart's list of settings that may hold a secret, or check that it is up to date.

python tools/chart_secrets.py            write k8s/chart/diskcsi/files/secret-settings.yaml
python tools/chart_secrets.py --check    compare; exit status 1 if it differs

The chart refuses these in `driver.settings` and `provider.settings`, which become a ConfigMap, and as
values of flags and variables, which stand in a pod's description.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from diskcsi.ports.settings import Setting, settings_of
from diskcsi.providers import registry
from diskcsi.settings import Settings

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "k8s" / "chart" / "diskcsi" / "files" / "secret-settings.yaml"

PROVIDERS: Final = ("alibaba", "local")
"""Those that come with the driver: of another one the chart knows nothing."""

KEY_PAIR: Final = frozenset({"access_key_id", "access_key_secret", "security_token"})
"""What the chart mounts from a Secret of its own value, and the driver reads again when it changes."""

ADDRESSES: Final = frozenset({"proxy"})
"""Of these only user and password are secret, which stand before an @."""

HEAD: Final = """# Settings that may hold a secret, with their flags and variables, and what to do instead: the chart
# refuses their values, if only those with `where` in them. Generated from the settings' declarations by
# tools/chart_secrets.py.
"""


def text() -> str:
    """The whole file."""
    lines = [HEAD, *_table("driver", Settings, ""), "providers:\n"]
    for name in PROVIDERS:
        lines += _table(name, registry.load(name).settings_type, "  ")
    return "".join(lines)


def _table(title: str, settings_type: type, indent: str) -> Iterator[str]:
    secret = {name: told for name, told in settings_of(settings_type).items() if told.secret}
    yield f"{indent}{title}:{'' if secret else ' {}'}\n"
    for name, told in sorted(secret.items()):
        yield f"{indent}  {name}:\n"
        yield from (f"{indent}    {key}: {value}\n" for key, value in _row(name, told))


def _row(name: str, told: Setting) -> Iterator[tuple[str, str]]:
    # the command line has no such flag, and who gives it all the same has shown the secret
    yield "flag", f"--{name.replace('_', '-')}"
    yield "variables", f"[{', '.join(told.env)}]"
    if name in ADDRESSES:
        yield "where", '"@"'
    yield "instead", _way_out(name, told)


def _way_out(name: str, told: Setting) -> str:
    if name in KEY_PAIR:
        return "put the key pair into the Secret that credentials.existingSecret names"
    if not told.env:
        raise ValueError(f"{name} is secret and has no variable: nothing but a file could give it")
    return (
        f"give it as {told.env[0]} by controller.envFrom, or by controller.env with valueFrom, from a"
        " Secret"
    )


def main(arguments: list[str]) -> int:
    """Write, or with --check compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wanted = text()
    if TARGET.exists() and TARGET.read_text() == wanted:
        return 0
    print(f"{'differs' if arguments else 'written'}: {TARGET.relative_to(ROOT)}")
    if arguments:
        print("write it anew: python tools/chart_secrets.py")
        return 1
    TARGET.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
