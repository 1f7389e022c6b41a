"""The least that answers Identity: grpclib and the generated module, nothing of ours."""

from __future__ import annotations

import asyncio
import sys

from grpclib.server import Server

from diskcsi._proto.csi import v1


class Identity(v1.IdentityBase):
    """Answers GetPluginInfo."""

    async def get_plugin_info(
        self,
        get_plugin_info_request: v1.GetPluginInfoRequest,  # noqa: ARG002 - it is empty
    ) -> v1.GetPluginInfoResponse:
        """A fixed name."""
        return v1.GetPluginInfoResponse(name="bare.example.com", vendor_version="1")


async def main(path: str) -> None:
    """Serve on a socket until killed."""
    server = Server([Identity()])
    await server.start(path=path)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
