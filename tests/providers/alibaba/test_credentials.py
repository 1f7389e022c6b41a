from __future__ import annotations

from pathlib import Path

import pytest
from mockcloud.app import Cloud
from mockcloud.wire.auth import AccessKey

from diskcsi.model.errors import Unreachable
from diskcsi.ports.cloud import CloudCall
from diskcsi.providers.alibaba.cloud import open_cloud
from diskcsi.providers.alibaba.credentials import (
    Credentials,
    FileCredentials,
    source_of,
)
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.settings import fill
from tests.rows import row


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A mounted Secret."""
    write(tmp_path, key_id="file-id", key_secret="file-secret")
    return tmp_path


def write(directory: Path, *, key_id: str, key_secret: str, token: str | None = None) -> None:
    (directory / "id").write_text(f"{key_id}\n")
    (directory / "secret").write_text(f"{key_secret}\n")
    if token is not None:
        (directory / "token").write_text(f"{token}\n")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": "new", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"},
         Credentials(key_id="new", secret="s")),
        ({"ACCESS_KEY_ID": "old", "ACCESS_KEY_SECRET": "s"}, Credentials(key_id="old", secret="s")),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": "new", "ACCESS_KEY_ID": "old",
          "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s", "ACCESS_KEY_SECRET": "t"},
         Credentials(key_id="new", secret="s")),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": "STS.1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s",
          "ALIBABA_CLOUD_SECURITY_TOKEN": "t"},
         Credentials(key_id="STS.1", secret="s", token="t")),
    ],
    ids=["new", "old", "new-wins", "session"],
)  # fmt: skip
def test_a_key_pair_is_read_from_the_environment(
    environment: dict[str, str], expected: Credentials
) -> None:
    """By the names that Alibaba's own tools use, and by those of older drivers."""
    settings = fill(AlibabaSettings, flags={}, environment=environment, file={})

    assert source_of(settings).current() == expected


@pytest.mark.parametrize(("key_id", "key_secret"), [("", ""), ("id", ""), ("", "secret")])
def test_without_a_key_pair_the_cloud_is_out_of_reach(key_id: str, key_secret: str) -> None:
    """The start goes on, so that health checks can tell; the message says what to set."""
    with pytest.raises(Unreachable) as caught:
        source_of(AlibabaSettings(access_key_id=key_id, access_key_secret=key_secret)).current()

    assert "set ALIBABA_CLOUD_ACCESS_KEY_ID" in caught.value.hint


def test_the_files_of_a_secret_win(secret: Path) -> None:
    """They can be rotated; the environment can't."""
    settings = AlibabaSettings(
        credentials_dir=str(secret), access_key_id="env", access_key_secret="env"
    )

    assert source_of(settings).current().key_id == "file-id"


def test_a_rotated_secret_is_read_again(secret: Path) -> None:
    """Kubernetes replaces the files under a running driver."""
    source = FileCredentials(secret)
    source.current()
    write(secret, key_id="next-id", key_secret="next-secret", token="next-token")

    assert source.current() == Credentials(
        key_id="next-id", secret="next-secret", token="next-token"
    )


def test_an_empty_session_token_is_none(secret: Path) -> None:
    """A Secret may hold the key of a permanent pair without a value."""
    write(secret, key_id="a", key_secret="b", token="")

    assert not FileCredentials(secret).current().token


@pytest.mark.parametrize("name", ["id", "secret"])
@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_files_that_hold_no_key_pair_put_the_cloud_out_of_reach(
    secret: Path, name: str, content: bytes | None
) -> None:
    """Absent, empty, or no text at all: not final, and the message says where to look."""
    (secret / name).unlink()
    if content is not None:
        (secret / name).write_bytes(content)
    with pytest.raises(Unreachable, match=str(secret)):
        FileCredentials(secret).current()


def test_a_key_pair_never_shows_its_secrets() -> None:
    """It may end up in an error or a log line."""
    shown = repr(Credentials(key_id="id", secret="hush", token="hush"))

    assert "hush" not in shown


def test_settings_never_show_their_secrets() -> None:
    """Nor do the settings that they came from."""
    settings = AlibabaSettings(
        access_key_id="hush", access_key_secret="hush", security_token="hush"
    )

    assert "hush" not in repr(settings)


@row("credentials-expire")
async def test_a_cloud_goes_on_with_the_rotated_key(
    world: Cloud, secret: Path, told: list[CloudCall]
) -> None:
    """The old key ends, the Secret's files change, and the next call uses them."""
    world.auth.replace_keys({"file-id": AccessKey(id="file-id", secret="file-secret")})
    settings = AlibabaSettings(
        region="cn-hangzhou", ecs_endpoint=f"127.0.0.1:{world.port}", ecs_scheme="http",
        credentials_dir=str(secret),
    )  # fmt: skip
    async with open_cloud(settings, told.append) as cloud:
        await cloud.check()
        key = AccessKey(id="next-id", secret="next-secret", token="next-token")
        world.auth.replace_keys({"next-id": key})
        write(secret, key_id="next-id", key_secret="next-secret", token="next-token")
        await cloud.check()

    assert [call.access_key_id for call in world.calls.since(0)] == ["file-id", "next-id"]


async def test_a_cloud_without_a_key_pair_opens_and_tells_so_when_asked(
    world: Cloud, told: list[CloudCall]
) -> None:
    """A missing key must not stop the start, or nobody could see what is missing."""
    settings = AlibabaSettings(
        region="cn-hangzhou", ecs_endpoint=f"127.0.0.1:{world.port}", ecs_scheme="http"
    )
    async with open_cloud(settings, told.append) as cloud:
        with pytest.raises(Unreachable, match="no key pair"):
            await cloud.check()
