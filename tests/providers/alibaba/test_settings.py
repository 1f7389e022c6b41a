from __future__ import annotations

import pytest

from diskcsi.ports.cloud import CloudCall
from diskcsi.providers.alibaba.cloud import open_cloud
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.settings import SettingsError, fill


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


@pytest.mark.parametrize("name", ["call_timeout_s", "connect_timeout_s"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_a_timeout_is_a_time(name: str, value: str) -> None:
    """Zero would mean no limit at all to the HTTP client."""
    with pytest.raises(SettingsError, match="allowed are seconds above 0"):
        fill(AlibabaSettings, flags={name: value}, environment={}, file={})


@pytest.mark.parametrize("region", ["cn-hangzhou", "eu-central-1", "cn-shanghai-finance-1"])
def test_regions_are_known_by_their_form(region: str) -> None:
    """New ones open every year."""
    assert filled(REGION_ID=region).region == region


async def test_a_cloud_needs_a_region(told: list[CloudCall]) -> None:
    """It is said by name, and how to set it."""
    with pytest.raises(ValueError, match="set REGION_ID"):
        async with open_cloud(AlibabaSettings(), told.append):
            pass
