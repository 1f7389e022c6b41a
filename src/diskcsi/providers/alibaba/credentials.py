"""Where the key pair comes from: a mounted Secret's files, or the environment's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from diskcsi.model.errors import Unreachable
from diskcsi.providers.alibaba.settings import AlibabaSettings

WAY_OUT = (
    "set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or mount a Secret with"
    " the files id and secret and point credentials_dir at it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One key pair; only its id is ever shown."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


class CredentialsSource(Protocol):
    """Gives the key pair to sign with now."""

    def current(self) -> Credentials:
        """The key pair.

        Raises:
            Unreachable: there is none.
        """
        ...


class StaticCredentials:
    """A key pair that stays."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def current(self) -> Credentials:
        """The key pair."""
        if not self._credentials.key_id or not self._credentials.secret:
            raise Unreachable("no key pair to sign calls with", hint=WAY_OUT)
        return self._credentials


class FileCredentials:
    """A key pair in the files of a mounted Secret, which Kubernetes replaces when it is rotated."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def current(self) -> Credentials:
        """The key pair that the files hold now; three small reads in memory."""
        try:
            pair = Credentials(
                key_id=self._read("id"), secret=self._read("secret"), token=self._token()
            )
        except OSError as error:
            raise Unreachable(
                f"the key pair in {self._directory} can't be read: {error.strerror}", hint=WAY_OUT
            ) from error
        except UnicodeDecodeError as error:
            raise Unreachable(
                f"the key pair in {self._directory} is no text", hint=WAY_OUT
            ) from error
        for name, text in (("id", pair.key_id), ("secret", pair.secret)):
            if not text:
                raise Unreachable(f"file {name} in {self._directory} is empty", hint=WAY_OUT)
        return pair

    def _token(self) -> str:
        try:
            return self._read("token")
        except FileNotFoundError:
            return ""

    def _read(self, name: str) -> str:
        return (self._directory / name).read_text(encoding="utf-8").strip()


def source_of(settings: AlibabaSettings) -> CredentialsSource:
    """The source that the settings name."""
    if settings.credentials_dir:
        return FileCredentials(Path(settings.credentials_dir))
    return StaticCredentials(
        Credentials(
            key_id=settings.access_key_id,
            secret=settings.access_key_secret,
            token=settings.security_token,
        )
    )
