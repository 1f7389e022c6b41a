"""Write the tables of the charts' values from their values.yaml, or check that they are up to date.

python tools/chart_values.py            write docs/reference/*-values.md
python tools/chart_values.py --check    compare; exit status 1 and the differing files otherwise

The comment above a key is its line in the table; a key without one is a group, or a mistake.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHARTS = ROOT / "k8s" / "chart"
PAGES = ROOT / "docs" / "reference"

NAMES = {"diskcsi": "chart-values.md"}
"""Pages that aren't named after their chart."""

HEAD = """# Values of the chart `{chart}`

{introduction}

| Value | Default | What it is for |
|---|---|---|
"""

FOOT = "\nGenerated from `k8s/chart/{chart}/values.yaml` by `tools/chart_values.py`.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One line of a table.

    Attributes:
        default: as JSON, in one line.
        told: the comment above it; empty where there is none.
    """

    path: str
    default: str
    told: str


def values(text: str) -> Iterator[Value]:
    """The values of a values.yaml, in its order; a group of values that has a comment is one."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        yield from _below(root, "", text.splitlines())


def _below(mapping: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[Value]:
    for key, node in mapping.value:
        path = f"{prefix}{key.value}"
        told = _comment_above(key.start_mark.line, lines)
        group = isinstance(node, yaml.MappingNode) and node.value and not node.flow_style
        if group and not told:
            yield from _below(node, f"{path}.", lines)
        else:
            yield Value(path=path, default=_one_line(node), told=told)


def _comment_above(line: int, lines: list[str]) -> str:
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].lstrip().lstrip("#").strip())
    return " ".join(found)


def _one_line(node: yaml.Node) -> str:
    loaded = yaml.safe_load(yaml.serialize(node, Dumper=yaml.SafeDumper))
    return json.dumps(loaded)


def page(chart: Path) -> str:
    """The whole page of a chart."""
    text = (chart / "values.yaml").read_text()
    head, _, _ = text.partition("\n\n")
    introduction = " ".join(line.lstrip("# ") for line in head.splitlines())
    rows = [
        f"| `{one.path}` | `{one.default}` | {one.told.replace('|', '&#124;')} |\n"
        for one in values(text)
    ]
    return (
        HEAD.format(chart=chart.name, introduction=introduction.partition(" docs/reference/")[0])
        + "".join(rows)
        + FOOT.format(chart=chart.name)
    )


def main(arguments: list[str]) -> int:
    """Write, or with --check compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale: list[Path] = []
    for chart in sorted(CHARTS.iterdir()):
        target = PAGES / NAMES.get(chart.name, f"{chart.name}-values.md")
        wanted = page(chart)
        if target.exists() and target.read_text() == wanted:
            continue
        stale.append(target)
        if not arguments:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(wanted)
    for target in stale:
        print(f"{'differs' if arguments else 'written'}: {target.relative_to(ROOT)}")
    if arguments and stale:
        print("write them anew: python tools/chart_values.py")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
