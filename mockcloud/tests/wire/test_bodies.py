"""What answers look like, by the rows of the wire's acceptance table."""

from __future__ import annotations

import json
import re
from io import BytesIO
from xml.etree import ElementTree as ET

import pytest
from mockcloud.engine.knobs import Knobs
from mockcloud.faults import Fault
from wireclient import Wire

UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


async def test_row_24_without_a_format_an_answer_is_xml(wire: Wire) -> None:
    """Its root has the name of the call."""
    reply = await wire.send(wire.signed({"Action": "DescribeRegions", "Format": "-"}))
    root = ET.fromstring(reply.text)  # noqa: S314 - our own answer
    assert (root.tag, root.findtext("Regions/Region/RegionId")) == (
        "DescribeRegionsResponse",
        "cn-hangzhou",
    )


async def test_row_24_without_a_format_an_error_is_xml(wire: Wire) -> None:
    """It has its code in it."""
    reply = await wire.send(wire.signed({"Action": "NoSuch", "Format": "-"}))
    root = ET.fromstring(reply.text)  # noqa: S314 - our own answer
    assert (root.tag, root.findtext("Code")) == ("Error", "InvalidAction.NotFound")


async def test_row_24_the_type_of_xml_is_spelled_as_an_sdk_compares_it(wire: Wire) -> None:
    """Not one character more."""
    reply = await wire.send(wire.signed({"Action": "DescribeRegions", "Format": "XML"}))
    assert reply.headers["Content-Type"] == "text/xml;charset=utf-8"


async def test_row_38_a_success_has_no_code(wire: Wire) -> None:
    """An SDK takes any body with one for an error."""
    reply = await wire.call("DescribeRegions")
    assert (reply.status, "Code" in reply.json) == (200, False)


async def test_row_38_a_call_has_an_id_in_body_and_header(wire: Wire) -> None:
    """A UUID in upper case, the same in both."""
    reply = await wire.call("DescribeRegions")
    assert UUID.fullmatch(reply.json["RequestId"])
    assert reply.headers["x-acs-request-id"] == reply.json["RequestId"]


async def test_an_error_has_the_members_that_clients_read(wire: Wire) -> None:
    """The host is the one that was called."""
    reply = await wire.call("DeleteDisk", DiskId="d-none")
    assert reply.json.keys() == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert reply.json["HostId"] == wire.address


async def test_row_27_a_missing_parameter_is_named(wire: Wire) -> None:
    """The message says which."""
    reply = await wire.call("DeleteDisk")
    assert reply.code == (400, "MissingParameter")
    assert '"DiskId"' in reply.json["Message"]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("CreateDisk", (400, "MissingParameter")),
        ("DescribeDisks", (400, "MissingParamter.RegionId")),
        ("DescribeSnapshots", (400, "MissingParameter")),
        ("DescribeInstances", (400, "MissingParameter")),
        ("DescribeZones", (400, "MissingParameter")),
        ("TagResources", (404, "MissingParameter.RegionId")),
        ("UntagResources", (404, "MissingParameter.RegionId")),
    ],
)
async def test_row_28_some_calls_want_a_region(
    wire: Wire, action: str, answer: tuple[int, str]
) -> None:
    """Each says so in its own words."""
    assert (await wire.call(action)).code == answer


@pytest.mark.parametrize(
    "action", ["AttachDisk", "DetachDisk", "DeleteDisk", "ResizeDisk", "CreateSnapshot"]
)
async def test_row_28_calls_about_a_disk_want_no_region(wire: Wire, action: str) -> None:
    """The disk alone says where it is."""
    told = {"DiskId": "d-none", "InstanceId": "i-bp1mockcloudnode0001", "NewSize": "30"}
    assert (await wire.call(action, **told)).code == (404, "InvalidDiskId.NotFound")


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("CreateDisk", (404, "InvalidRegionId.NotFound")),
        ("DescribeInstances", (404, "InvalidRegionId.NotFound")),
        ("DescribeDisks", (400, "InvalidRegion.NotFound")),
        ("AttachDisk", (400, "InvalidRegionId.MalFormed")),
        ("DetachDisk", (400, "InvalidRegionId.MalFormed")),
        ("DeleteDisk", (400, "InvalidRegionId.MalFormed")),
        ("ResizeDisk", (400, "InvalidRegionId.MalFormed")),
    ],
)
async def test_row_29_an_unknown_region_is_refused(
    wire: Wire, action: str, answer: tuple[int, str]
) -> None:
    """Its status and code differ by call."""
    assert (await wire.call(action, RegionId="mars")).code == answer


@pytest.mark.parametrize("text", ["True", "true", "TRUE"])
async def test_row_30_a_flag_is_read_in_any_case(wire: Wire, text: str) -> None:
    """SDKs differ in how they spell it."""
    reply = await wire.call(
        "CreateDisk", RegionId="cn-hangzhou", ZoneId="cn-hangzhou-g", Size="20",
        DiskCategory="cloud_essd", Encrypted=text,
    )  # fmt: skip
    assert wire.cloud.engine.disks[reply.json["DiskId"]].encrypted


async def test_row_31_an_unknown_parameter_is_ignored(wire: Wire) -> None:
    """As are those that nearly every request has and nobody needs."""
    assert (await wire.call("DescribeRegions", OwnerId="1", Nonsense="2")).status == 200


async def test_row_32_numbered_parameters_may_have_gaps(wire: Wire) -> None:
    """They come in the order of their numbers, not of their names."""
    reply = await wire.call(
        "CreateDisk", RegionId="cn-hangzhou", ZoneId="cn-hangzhou-g", Size="20",
        DiskCategory="cloud_essd", Tag_10_Key="ten", Tag_2_key="two", Tag_2_value="2",
    )  # fmt: skip
    assert list(wire.cloud.engine.disks[reply.json["DiskId"]].tags) == ["two", "ten"]


async def test_row_33_ids_that_are_no_json_list_are_refused(wire: Wire) -> None:
    """A comma list is not one."""
    reply = await wire.call("DescribeDisks", RegionId="cn-hangzhou", DiskIds="d-1,d-2")
    assert reply.code == (400, "InvalidParameter.DiskIds")


async def test_row_34_a_long_address_is_served(wire: Wire) -> None:
    """Twenty tags of a hundred Chinese characters make 35 KB."""
    call = {"Action": "CreateDisk", "RegionId": "cn-hangzhou", "ZoneId": "cn-hangzhou-g"}
    call |= {"Size": "20", "DiskCategory": "cloud_essd"}
    for number in range(1, 21):
        call |= {f"Tag.{number}.Key": f"键{number}", f"Tag.{number}.Value": "盘" * 128}
    assert (await wire.send(query=wire.signed(call))).status == 200


async def test_of_a_name_that_comes_twice_the_last_value_counts(wire: Wire) -> None:
    """In the address, and over it in the form."""
    call = wire.signed({"Action": "DescribeRegions"})
    reply = await wire.send(call, query={"Action": "NoSuch"})
    assert reply.status == 200


async def test_a_broken_action_answers_an_error_that_sdks_can_read(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong inside, the answer is JSON with a code."""
    wire.cloud.engine.config = None  # type: ignore[assignment] # nothing works without it
    assert (await wire.call("DescribeRegions")).code == (500, "InternalError")
    assert "DescribeRegions failed" in caplog.text


async def test_row_37_an_injected_error_is_told_as_asked(wire: Wire) -> None:
    """Status and code are free, and the body is JSON."""
    wire.cloud.faults.add(
        Fault(action="DescribeRegions", kind="error", status=503, code="ServiceUnavailable")
    )
    assert (await wire.call("DescribeRegions")).code == (503, "ServiceUnavailable")


@pytest.mark.parametrize("where", ["query", "form"])
async def test_the_call_log_holds_no_secret(wire: Wire, where: str) -> None:
    """Neither the signature nor a token, wherever they travelled; nor the key's secret."""
    call = wire.signed({"Action": "DescribeRegions", "SecurityToken": "canary-token"})
    await (wire.send(query=call) if where == "query" else wire.send(call))
    log = json.dumps([one.told() for one in wire.cloud.calls.since(0)])
    secrets = ("canary-token", "mockcloud-key-secret", call["Signature"].rstrip("="))
    assert not [secret for secret in secrets if secret in log]


async def test_the_call_log_tells_what_was_called(wire: Wire) -> None:
    """Over the mock's own address, from a number on."""
    await wire.call("DescribeRegions")
    await wire.call("DescribeZones", RegionId="cn-hangzhou")
    reply = await wire.send(method="GET", path="/_mock/calls?since=1")
    told = [(one["action"], one["params"]["RegionId"], one["code"]) for one in reply.json]
    assert told == [("DescribeZones", "cn-hangzhou", "OK")]


async def test_a_body_without_measure_is_refused_as_sdks_can_read_it(wire: Wire) -> None:
    """Not by a page of the web server."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = BytesIO(b"Note=" + b"x" * 2**20)
    async with wire.http.post(f"http://{wire.address}/", data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["Code"]) == (413, "RequestEntityTooLarge")


async def test_row_36_a_call_too_many_is_refused_until_the_next_minute(wire: Wire) -> None:
    """With the cloud's usual status and code."""
    wire.cloud.engine.knobs = Knobs(reads_per_minute=1)
    wire.clock.set(wire.clock.time() // 60 * 60)
    first, second = [await wire.call("DescribeRegions") for _ in range(2)]
    wire.clock.set(wire.clock.time() + 60)
    third = await wire.call("DescribeRegions")
    assert (first.status, second.code, third.status) == (200, (400, "Throttling"), 200)
