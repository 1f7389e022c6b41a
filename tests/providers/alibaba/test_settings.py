from __future__ import annotations

import pytest

from diskcsi.ports.cloud import CloudCall
from diskcsi.providers.alibaba.cloud import open_cloud
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.settings import SettingsError, fill
from tests.providers.alibaba.support import Answer, scripted


def filled(**environment: str) -> AlibabaSettings:
    return fill(AlibabaSettings, flags={}, environment=environment, file={})


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, "https://ecs-vpc.cn-hangzhou.aliyuncs.com"),
        ({"ALIBABA_CLOUD_NETWORK_TYPE": "vpc"}, "https://ecs-vpc.cn-hangzhou.aliyuncs.com"),
        ({"ALIBABA_CLOUD_NETWORK_TYPE": "public"}, "https://ecs.cn-hangzhou.aliyuncs.com"),
        ({"ECS_ENDPOINT": "127.0.0.1:8080", "ALICLOUD_CLIENT_SCHEME": "HTTP"},
         "http://127.0.0.1:8080"),
        ({"ECS_ENDPOINT": "[::1]:8080"}, "https://[::1]:8080"),
        ({"ECS_ENDPOINT": "ecs.my-cloud.example"}, "https://ecs.my-cloud.example"),
    ],
)  # fmt: skip
def test_the_endpoint_follows_region_and_network(
    environment: dict[str, str], endpoint: str
) -> None:
    """Inside a private network another name leads to the same API."""
    assert filled(REGION_ID="cn-hangzhou", **environment).endpoint == endpoint


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REGION_ID", "Hangzhou!", "is no region's id"),
        ("ECS_ENDPOINT", "https://ecs.example", "its scheme is ecs_scheme"),
        ("ECS_ENDPOINT", "ecs.example/path", "is not a host"),
        ("ECS_ENDPOINT", "ecs.example:port", "is not a host"),
        ("ECS_ENDPOINT", "user@ecs.example", "is not a host"),
        ("ALICLOUD_CLIENT_SCHEME", "ftp", "allowed are http, https"),
        ("DISKCSI_PROXY", "proxy:3128", "begins with http://"),
        ("ALIBABA_CLOUD_NETWORK_TYPE", "internet", "allowed are vpc, public"),
        ("DISK_ATTACH_CONCURRENCY", "-1", "allowed are whole numbers from 0"),
        ("DISK_DETACH_CONCURRENCY", "many", "allowed are whole numbers from 0"),
        ("PRIVATE_TOPOLOGY_KEY", "maybe", "allowed are"),
        ("ALIBABA_CLOUD_NO_ECS_METADATA", "perhaps", "allowed are"),
        ("DISKCSI_METADATA_URL", "100.100.100.200", "begins with http:// or https://"),
    ],
)
def test_a_value_that_can_not_be_used_stops_the_start(name: str, value: str, told: str) -> None:
    """The message says what is allowed, before anything is served."""
    with pytest.raises(SettingsError, match=told):
        filled(**{name: value})


def test_headers_for_the_cloud_come_one_on_a_line() -> None:
    """Those for ECS alone win; case and blanks don't count."""
    settings = filled(
        ALIBABA_CLOUD_HTTP_HEADERS="X-One: 1\n\n x-Two :2", ECS_HEADERS="X-TWO: ecs:2\r\nx-three: 3"
    )

    assert dict(settings.headers) == {"x-one": "1", "x-two": "ecs:2", "x-three": "3"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("no colon", "one `Name: value` a line"), (": value", "one `Name: value` a line"),
        ("na me: value", "one `Name: value` a line"), ("x: a\x00b", "no header can carry"),
        ("Content-Type: text/plain", "is set by the driver"), ("host: x", "is set by the driver"),
    ],
)  # fmt: skip
def test_a_header_that_can_not_be_sent_stops_the_start(value: str, told: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(SettingsError, match=told):
        filled(ECS_HEADERS=value)


def test_a_header_that_is_refused_does_not_show_its_value() -> None:
    """It may be what lets the driver in."""
    with pytest.raises(SettingsError) as caught:
        filled(ECS_HEADERS="x-context: hush\x00hush")

    assert "hush" not in str(caught.value)


async def test_the_headers_are_sent_with_every_call(told: list[CloudCall]) -> None:
    """The driver's own are still there."""
    async with scripted([Answer(body={})]) as api:
        settings = filled(
            REGION_ID="cn-hangzhou", ECS_ENDPOINT=api.url.removeprefix("http://"),
            ALICLOUD_CLIENT_SCHEME="http", ECS_HEADERS="x-context: c-1",
            ACCESS_KEY_ID="id", ACCESS_KEY_SECRET="secret",
        )  # fmt: skip
        async with open_cloud(settings, told.append) as cloud:
            await cloud.check()

    sent = api.headers[0]
    assert (sent["x-context"], sent["content-type"]) == ("c-1", "application/x-www-form-urlencoded")


async def test_calls_go_through_the_proxy_that_is_named(told: list[CloudCall]) -> None:
    """The API's own name need not be known to the driver's network."""
    async with scripted([Answer(body={})]) as proxy:
        settings = filled(
            REGION_ID="cn-hangzhou", ECS_ENDPOINT="ecs.nowhere.example", DISKCSI_PROXY=proxy.url,
            ALICLOUD_CLIENT_SCHEME="http", ACCESS_KEY_ID="id", ACCESS_KEY_SECRET="secret",
        )  # fmt: skip
        async with open_cloud(settings, told.append) as cloud:
            await cloud.check()

    assert proxy.headers[0]["host"] == "ecs.nowhere.example"


@pytest.mark.parametrize("name", ["call_timeout_s", "connect_timeout_s"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_a_timeout_is_a_time(name: str, value: str) -> None:
    """Zero would mean no limit at all to the HTTP client."""
    with pytest.raises(SettingsError, match="allowed are seconds above 0"):
        fill(AlibabaSettings, flags={name: value}, environment={}, file={})


@pytest.mark.parametrize(
    "given",
    [
        ["ecs.g8i.large=9", "ecs.u1-c1m4.xlarge=17"],
        "ecs.g8i.large=9,ecs.u1-c1m4.xlarge=17",
        " ecs.g8i.large = 9 , ecs.u1-c1m4.xlarge=17, ",
    ],
    ids=["a list of the file", "a text", "blanks"],
)
def test_disks_of_a_type_are_told_in_a_list(given: object) -> None:
    """One item for each type."""
    settings = fill(AlibabaSettings, flags={}, environment={}, file={"disk_quantities": given})

    assert settings.disk_quantities == (("ecs.g8i.large", 9), ("ecs.u1-c1m4.xlarge", 17))


@pytest.mark.parametrize(
    "name",
    ["ecs.t1.xsmall", "ecs.ebmg5.24xlarge", "ecs.gn7i-c8g1.2xlarge", "ecs.ebmre6-6t.52xlarge"],
)
@pytest.mark.parametrize("disks", [1, 256])
def test_types_are_known_by_their_form(name: str, disks: int) -> None:
    """New ones come every year."""
    assert filled(DISKCSI_DISK_QUANTITIES=f"{name}={disks}").disk_quantities == ((name, disks),)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("17", "'17' is no type of machine; allowed is a list of TYPE=NUMBER"),
        ("ecs.g6=17", "'ecs.g6' is no type of machine"),
        ("g6.large=17", "'g6.large' is no type of machine"),
        ("ecs.g6.large.=17", "'ecs.g6.large.' is no type of machine"),
        ("ecs.G6.large=17", "'ecs.G6.large' is no type of machine"),
        ("ecs.g6.large: 17", "'ecs.g6.large: 17' is no type of machine"),
        ("{'ecs.g6.large': 17}", "is no type of machine"),
        ("ecs.g6.large", "'' for ecs.g6.large: allowed are whole numbers from 1 to 256"),
        ("ecs.g6.large=0", "'0' for ecs.g6.large: allowed are whole numbers from 1 to 256"),
        ("ecs.g6.large=-1", "'-1' for ecs.g6.large"),
        ("ecs.g6.large=257", "'257' for ecs.g6.large"),
        ("ecs.g6.large=1717", "'1717' for ecs.g6.large"),
        ("ecs.g6.large=many", "'many' for ecs.g6.large"),
        ("ecs.g6.large=1=7", "'1=7' for ecs.g6.large"),
        ("ecs.g6.large=１７", "'１７' for ecs.g6.large"),  # noqa: RUF001 - digits of another script
        ("ecs.g7.large=9,ecs.g6.large=17,ecs.g7.large=9", "ecs.g7.large is told twice"),
    ],
)
def test_disks_of_a_type_that_can_not_be_meant_stop_the_start(value: str, told: str) -> None:
    """The message names the item, and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        filled(DISKCSI_DISK_QUANTITIES=value)

    assert str(caught.value).startswith("environment DISKCSI_DISK_QUANTITIES can't be read: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("region", ["cn-hangzhou", "eu-central-1", "cn-shanghai-finance-1"])
def test_regions_are_known_by_their_form(region: str) -> None:
    """New ones open every year."""
    assert filled(REGION_ID=region).region == region


async def test_a_cloud_needs_a_region(told: list[CloudCall]) -> None:
    """It is said by name, and how to set it."""
    with pytest.raises(ValueError, match="set REGION_ID"):
        async with open_cloud(AlibabaSettings(), told.append):
            pass
