"""The calls that the Alibaba provider makes, by feature, as policies of least privilege.

Both ends are read from the source: what the driver asks of a cloud, and which actions stand behind
that. Only which of it belongs to which feature is said here, and it must say all of it.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROVIDER: Final = "src/diskcsi/providers/alibaba"
REQUESTS: Final = "aliyunsdkecs.request.v20140526"
ASKED: Final = re.compile(r"(?<![a-z])cloud\.([a-z_]+)")

HEAD: Final = """# RAM policies

The controller signs its calls to ECS with one key pair. This is all that the RAM user, or the role, of that key must be allowed to do. Nodes
need no key and no permission. The policy names are those of the API's actions, one for one; these policies have not been tried on a
real account by this project.

`diskcsi conformance alibaba` looks up a machine as well, by `DescribeInstances`; the driver in service never does.

Leave out what you don't use. Without a permission the call ends with the code `PermissionDenied`, and the event on the claim or pod
names the action that is missing; once it is granted it works about a minute later.

## Everything

{everything}
## By feature

| Feature | Actions | What for |
|---|---|---|
{rows}
{policies}## Narrower

`"Resource": "*"` stands for every disk of the account. To keep the key in one region write `"acs:ecs:cn-hangzhou:*:*"` in its place. Narrower
than that makes trouble: a disk that is made has no id yet that a policy could name.

The policy of ACK's own add-on allows more (tags, snapshot groups, changing a disk's category): this driver sets tags in CreateDisk
and CreateSnapshot themselves, and makes none of the other calls. A key of the driver's own, instead of one that others use,
keeps its calls apart in the audit log, not in the throttling: ECS counts calls by account.

A disk with `kmsKeyId` is encrypted by ECS, not by the driver: ECS itself must be allowed to use the key (its role in the account).

Generated from the provider's source by `tools/reference.py`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What somebody wants to use, and what the rules ask of a cloud for it.

    Attributes:
        title: of its policy.
        asked: methods of the port `CloudProvider`.
        told: what it is for.
    """

    title: str
    asked: tuple[str, ...]
    told: str


FEATURES: Final = (
    Feature(
        title="Attach and detach",
        asked=("attach_disk", "detach_disk", "get_disks", "check"),
        told="needed always; without DescribeDisks the controller is not ready",
    ),
    Feature(
        title="Create",
        asked=("create_disk", "find_disks", "get_disks", "delete_disk"),
        told="claims that become disks; DeleteDisk for one that failed while it was made",
    ),
    Feature(
        title="Delete",
        asked=("delete_disk", "get_disks"),
        told="reclaim policy Delete",
    ),
    Feature(title="Grow", asked=("resize_disk", "get_disks"), told="claims that get larger"),
    Feature(
        title="Snapshots",
        asked=(
            "create_snapshot", "delete_snapshot", "find_snapshots", "get_snapshots",
            "list_snapshots", "get_disks",
        ),
        told="VolumeSnapshots; to restore one, Create as well",
    ),
)  # fmt: skip

NO_CALLS: Final = frozenset({"capabilities", "read_batch"})
"""Of the port: what a provider says of itself."""


def asked_of_the_cloud(root: Path) -> set[str]:
    """The methods of the port that the driver uses, by the source of what may use it."""
    return {
        name
        for file in (*root.glob("src/diskcsi/controller/*.py"), root / "src/diskcsi/wiring.py")
        for name in ASKED.findall(file.read_text())
    } - NO_CALLS


def actions_by_method(root: Path) -> dict[str, set[str]]:
    """The actions behind each method of the provider, its helpers' among them."""
    named: dict[str, set[str]] = {}
    helpers: dict[str, set[str]] = {}
    for file in sorted((root / PROVIDER).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.AsyncFunctionDef):
                named[node.name] = set(filter(_is_action, _texts(node)))
                helpers[node.name] = set(_own_methods(node))
    return {
        name: named[name].union(*(named.get(one, ()) for one in helpers[name])) for name in named
    }


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _own_methods(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "self":
            yield part.attr


def _is_action(word: str) -> bool:
    return word.isidentifier() and importlib.util.find_spec(f"{REQUESTS}.{word}Request") is not None


def policy(actions: Iterable[str]) -> str:
    """A RAM policy, as a block of a page."""
    statement: Mapping[str, object] = {
        "Effect": "Allow",
        "Action": [f"ecs:{action}" for action in sorted(set(actions))],
        "Resource": "*",
    }
    return f"```json\n{json.dumps({'Version': '1', 'Statement': [statement]}, indent=2)}\n```\n\n"


def page(root: Path) -> str:
    """The whole page.

    Raises:
        ValueError: the driver asks a cloud for something that no feature lists, or the other way
            round.
    """
    listed = {method for feature in FEATURES for method in feature.asked}
    if strange := listed ^ asked_of_the_cloud(root):
        raise ValueError(f"what the driver asks and what features list differ in {sorted(strange)}")
    of = actions_by_method(root)
    actions = {
        one.title: set[str]().union(*(of[method] for method in one.asked)) for one in FEATURES
    }
    rows = "".join(
        f"| [{one.title}](#{one.title.lower().replace(' ', '-')}) |"
        f" {', '.join(f'`{action}`' for action in sorted(actions[one.title]))} | {one.told} |\n"
        for one in FEATURES
    )
    return HEAD.format(
        everything=policy(set[str]().union(*actions.values())),
        rows=rows,
        policies="".join(f"### {title}\n\n{policy(some)}" for title, some in actions.items()),
    )
