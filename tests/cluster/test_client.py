"""The client of Kubernetes against a server with TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from diskcsi.cluster import client
from diskcsi.cluster.client import open_cluster
from diskcsi.model.errors import Unreachable
from diskcsi.ports.cluster import ClusterNode
from tests.cluster.authority import Authority, new_authority
from tests.cluster.server import Server, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server(tmp_path: Path, authority: Authority) -> AsyncIterator[Server]:
    async with serving(tmp_path, authority) as one:
        yield one


async def test_a_node_is_read(server: Server) -> None:
    """What a provider may know a machine by."""
    assert await server.cluster.node() == ClusterNode(
        name="node-1", labels={"a": "b"}, provider_id="cn-hangzhou.i-1", system_uuid="4c4c"
    )


async def test_one_object_is_asked_for_by_its_name(server: Server) -> None:
    """The verb `get` on nodes is all that it needs."""
    await server.cluster.node()
    assert server.paths == ["/api/v1/nodes/node-1"]


async def test_a_bare_node_is_one_without_labels(server: Server) -> None:
    """Everything in it may be absent."""
    server.answer = lambda: web.json_response({"metadata": {"labels": None}})
    assert await server.cluster.node() == ClusterNode(name="node-1", labels={})


async def test_a_node_with_many_images_is_read_whole(server: Server) -> None:
    """An answer comes in as many pieces as the network likes."""
    server.node = {**server.node, "status": {"images": ["x" * 1000] * 1000}}
    assert (await server.cluster.node()).provider_id == "cn-hangzhou.i-1"


async def test_an_answer_beyond_every_object_is_not_read_to_its_end(server: Server) -> None:
    """Memory is bounded, and the message tells what is wrong."""
    server.node = {"status": {"images": ["x" * 1000] * 5000}}
    with pytest.raises(Unreachable, match="more than 4194304 bytes"):
        await server.cluster.node()


async def test_a_token_is_read_for_every_question(server: Server) -> None:
    """Kubernetes replaces it every hour."""
    await server.cluster.node()
    (server.account / "token").write_text("token-2")
    await server.cluster.node()
    assert server.tokens == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "token is not taken"),
        (403, "grant the pod's service account the verb get on nodes"),
        (404, "KUBE_NODE_NAME"),
        (500, "HTTP 500"),
    ],
)
async def test_a_refusal_says_what_to_do(server: Server, status: int, words: str) -> None:
    """And which Node it is about."""
    server.answer = lambda: web.Response(status=status)
    with pytest.raises(Unreachable, match="Node node-1") as caught:
        await server.cluster.node()
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["<html>", "[]", "null"])
async def test_an_answer_that_is_no_object_is_none(server: Server, text: str) -> None:
    """Something else may listen there."""
    server.answer = lambda: web.Response(text=text)
    with pytest.raises(Unreachable, match="Kubernetes at https://127"):
        await server.cluster.node()


@pytest.mark.parametrize("name", ["token", "ca.crt"])
async def test_an_account_that_is_not_mounted_is_told(server: Server, name: str) -> None:
    """With the field of the pod that mounts it."""
    (server.account / name).unlink()
    with pytest.raises(Unreachable, match="automountServiceAccountToken"):
        await server.cluster.node()


async def test_another_authority_is_not_trusted(server: Server, tmp_path: Path) -> None:
    """The token goes to nobody else."""
    other = new_authority(tmp_path)
    (server.account / "ca.crt").write_text(other.certificate.read_text())
    with pytest.raises(Unreachable, match="does not answer"):
        await server.cluster.node()
    assert server.tokens == []


async def test_an_authority_that_is_replaced_is_taken(server: Server, tmp_path: Path) -> None:
    """Without a restart of the pod."""
    ours = (server.account / "ca.crt").read_text()
    (server.account / "ca.crt").write_text(new_authority(tmp_path).certificate.read_text())
    with pytest.raises(Unreachable):
        await server.cluster.node()
    (server.account / "ca.crt").write_text(ours)
    assert (await server.cluster.node()).provider_id == "cn-hangzhou.i-1"


async def test_a_server_that_is_not_there_is_told(server: Server) -> None:
    """The message names its address."""
    async with open_cluster(
        host="127.0.0.1", port=1, account=server.account, node_name="node-1"
    ) as nowhere:
        with pytest.raises(Unreachable, match=":1 does not answer"):
            await nowhere.node()


async def test_no_question_waits_without_end() -> None:
    """Kubelet asks who the node is, and has a deadline."""
    assert client.CONNECT_S < client.TOTAL_S <= 10
