"""The old Python SDK as it is, over a real socket, by the rows of the wire's acceptance table."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.request import CommonRequest
from aliyunsdkecs.request.v20140526.CreateDiskRequest import CreateDiskRequest
from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest
from mockcloud.faults import Fault
from mockcloud.wire.auth import AccessKey
from sdk import sdk_client
from wireclient import KEY_ID, KEY_SECRET, Wire

REGION = "cn-hangzhou"


@pytest.fixture
def garbage_stays() -> Iterator[None]:
    """Only the test collects it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def sent(wire: Wire, request: Any, secret: str = KEY_SECRET) -> Any:  # noqa: ANN401 - JSON
    """What the SDK makes of the answer."""
    request.set_protocol_type("http")
    with sdk_client(wire.address, secret=secret) as client:
        return json.loads(await asyncio.to_thread(client.do_action_with_exception, request))


async def refused(wire: Wire, request: Any, secret: str = KEY_SECRET) -> ServerException:  # noqa: ANN401 - untyped
    """The error that the SDK raises."""
    with pytest.raises(ServerException) as raised:
        await sent(wire, request, secret)
    return raised.value


def a_disk() -> Any:  # noqa: ANN401 - untyped
    """A request for one."""
    request = CreateDiskRequest()
    request.set_ZoneId("cn-hangzhou-g")
    request.set_DiskCategory("cloud_essd")
    request.set_Size(20)
    return request


@pytest.mark.usefixtures("garbage_stays")
async def test_a_client_leaves_no_open_socket_to_the_collector(wire: Wire) -> None:
    """It comes to the younger one first where a client outlived a collection and its socket didn't."""
    request = DescribeDisksRequest()
    request.set_protocol_type("http")
    with sdk_client(wire.address) as client:
        gc.collect(0)
        await asyncio.to_thread(client.do_action_with_exception, request)
    del client
    gc.collect()  # what it finds open is a warning, and so an error


async def test_row_01_an_sdk_makes_a_disk(wire: Wire) -> None:
    """It puts all of the call into the address, a blank `SignatureType` among it."""
    answer = await sent(wire, a_disk())
    assert answer["DiskId"] in wire.cloud.engine.disks
    assert "SignatureType=&" in f"{wire.cloud.calls.since(0)[0].target}&"


async def test_row_04_an_sdk_may_put_business_into_the_form(wire: Wire) -> None:
    """Its common request splits a call over address and form."""
    request = CommonRequest(domain=wire.address, version="2014-05-26", action_name="DescribeZones")
    request.set_method("POST")
    request.add_body_params("RegionId", REGION)
    assert (await sent(wire, request))["Zones"]["Zone"]


async def test_row_09_an_sdk_sees_that_its_secret_is_wrong(wire: Wire) -> None:
    """It finds its own text to sign in the message, and so blames the secret."""
    error = await refused(wire, DescribeDisksRequest(), secret="other")
    assert error.get_error_code() == "InvalidAccessKeySecret"


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        (AccessKey(id="other", secret="x"), (404, "InvalidAccessKeyId.NotFound")),
        (AccessKey(id=KEY_ID, secret="x", disabled=True), (400, "InvalidAccessKeyId.Inactive")),
        (AccessKey(id=KEY_ID, secret=KEY_SECRET, token="t"), (400, "MissingSecurityToken")),
        (
            AccessKey(id=KEY_ID, secret=KEY_SECRET, denied=frozenset({"DescribeDisks"})),
            (403, "Forbidden.RAM"),
        ),
    ],
    ids=["row_11_unknown", "row_12_disabled", "row_13_no_token", "row_35_denied"],
)
async def test_an_sdk_sees_why_its_key_is_refused(
    wire: Wire, key: AccessKey, answer: tuple[int, str]
) -> None:
    """Status and code arrive."""
    wire.cloud.auth.replace_keys({key.id: key})
    error = await refused(wire, DescribeDisksRequest())
    assert (error.get_http_status(), error.get_error_code()) == answer


async def test_row_30_an_sdk_spells_flags_in_its_own_way(wire: Wire) -> None:
    """`True` with a capital letter is one."""
    request = a_disk()
    request.set_Encrypted(True)
    answer = await sent(wire, request)
    assert wire.cloud.engine.disks[answer["DiskId"]].encrypted


async def test_row_34_an_sdk_may_send_twenty_long_tags(wire: Wire) -> None:
    """Its address is then longer than web servers take by default."""
    request = a_disk()
    request.set_Tags([{"Key": f"键{number}", "Value": "盘" * 128} for number in range(20)])
    answer = await sent(wire, request)
    assert len(wire.cloud.engine.disks[answer["DiskId"]].tags) == 20


async def test_row_37_an_sdk_sees_an_injected_error(wire: Wire) -> None:
    """As one of the server."""
    wire.cloud.faults.add(Fault(action="DescribeDisks", kind="error"))
    error = await refused(wire, DescribeDisksRequest())
    assert (error.get_http_status(), error.get_error_code()) == (500, "InternalError")


async def test_row_38_an_sdk_reads_lists_as_the_cloud_wraps_them(wire: Wire) -> None:
    """A list is an object with one key."""
    made = await sent(wire, a_disk())
    answer = await sent(wire, DescribeDisksRequest())
    assert [disk["DiskId"] for disk in answer["Disks"]["Disk"]] == [made["DiskId"]]
