"""The metadata service of each machine, under `/_imds/INSTANCE/latest/`.

On the real cloud every machine asks one address and gets its own answers; here the machine's id
stands in the path instead.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Final

from aiohttp import web

from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Instance

TOKEN_HEADER: Final = "X-aliyun-ecs-metadata-token"  # noqa: S105 - a header's name
TTL_HEADER: Final = "X-aliyun-ecs-metadata-token-ttl-seconds"
TTL_MOST_S: Final = 21600
ACCOUNT: Final = "1000000000000000"
IMAGE: Final = "m-mockcloud"
MAC: Final = "00:16:3e:00:00:01"
ADDRESS: Final = "192.0.2.1"


class Metadata:
    """Answers what a machine may know of itself.

    Args:
        tokens_required: whether a request without a token is refused.
    """

    def __init__(self, *, engine: Engine, tokens_required: bool = False) -> None:
        self._engine = engine
        self._tokens_required = tokens_required
        self._tokens: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        base = "/_imds/{instance}/latest"
        return [
            web.put(f"{base}/api/token", self.make_token),
            web.get(f"{base}/{{path:.*}}", self.read),
        ]

    async def make_token(self, request: web.Request) -> web.Response:
        """A token for as long as the caller asks."""
        if "X-Forwarded-For" in request.headers:
            return web.Response(status=403, text="403 - Forbidden")
        ttl = request.headers.get(TTL_HEADER, "")
        if not (ttl.isascii() and ttl.isdigit()) or not 1 <= int(ttl) <= TTL_MOST_S:
            return web.Response(status=400, text="400 - Missing or Invalid Parameters")
        token, now = secrets.token_urlsafe(32), self._engine.clock.time()
        self._tokens = {one: ends_at for one, ends_at in self._tokens.items() if ends_at > now}
        self._tokens[token] = now + int(ttl)
        return web.Response(text=token)

    async def read(self, request: web.Request) -> web.Response:
        """One value, or the children of a directory, one on a line."""
        token = request.headers.get(TOKEN_HEADER)
        if token is None and self._tokens_required:
            return web.Response(status=403, text="403 - Forbidden")
        if token is not None and self._tokens.get(token, 0) <= self._engine.clock.time():
            return web.Response(status=401, text="401 - Unauthorized")
        instance = self._engine.instances.get(request.match_info["instance"])
        await self._engine.schedule.run_due()
        answer = self._answer(instance, request.match_info["path"]) if instance else None
        if answer is None:
            return web.Response(status=404, text="404 - Not Found")
        return web.Response(text=answer)

    def _answer(self, instance: Instance, path: str) -> str | None:
        if path == "dynamic/instance-identity/document":
            return self._document(instance)
        if not path.startswith("meta-data/"):
            return None
        rest = path.removeprefix("meta-data/")
        if rest == "disks":
            rest = "disks/"
        if rest.startswith("disks/"):
            return self._disks(instance, rest.removeprefix("disks/"))
        if rest.startswith("tags/instance/"):
            return instance.tags.get(rest.removeprefix("tags/instance/"))
        values: dict[str, Callable[[], str]] = {
            "instance-id": lambda: instance.id,
            "region-id": lambda: instance.region,
            "zone-id": lambda: instance.zone,
            "hostname": lambda: instance.name or instance.id,
            "instance/instance-type": lambda: instance.type_name,
            "instance/instance-name": lambda: instance.name or instance.id,
            "owner-account-id": lambda: ACCOUNT,
            "serial-number": lambda: instance.id.removeprefix("i-"),
            "image-id": lambda: IMAGE,
            "mac": lambda: MAC,
            "network-type": lambda: "vpc",
            "private-ipv4": lambda: ADDRESS,
        }
        if not rest:
            return "\n".join(sorted({*values, "disks/"}))
        read = values.get(rest)
        return read() if read else None

    def _disks(self, instance: Instance, rest: str) -> str | None:
        """The system disk first, then the attached ones, by serial."""
        known = {
            f"{instance.id.removeprefix('i-')}sys"[-20:]: "system",
            **{
                disk.serial: disk.id
                for disk in self._engine.disks.values()
                if disk.attached_to(instance.id)
            },
        }
        if not rest:
            return "\n".join(f"{serial}/" for serial in known)
        serial, _, what = rest.partition("/")
        if serial not in known:
            return None
        return {"": "id\nname", "id": f"d-{serial}", "name": known[serial]}.get(what)

    def _document(self, instance: Instance) -> str:
        return json.dumps(
            {
                "zone-id": instance.zone,
                "serial-number": instance.id.removeprefix("i-"),
                "instance-id": instance.id,
                "region-id": instance.region,
                "private-ipv4": ADDRESS,
                "owner-account-id": ACCOUNT,
                "mac": MAC,
                "image-id": IMAGE,
                "instance-type": instance.type_name,
            },
            separators=(",", ":"),
        )
