"""What may hold a secret stays out of the ConfigMap, which everybody reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from diskcsi.ports.settings import settings_of
from diskcsi.providers import registry
from tests.k8s.charts import REGION, ROOT, Helm, Refused, Rendered, config, container, filled

CANARY = "user-of-mine:canary-of-mine@host"


def secret_settings() -> Iterator[tuple[str, str, str]]:
    """Provider, name and first variable of every setting that is declared secret."""
    for provider in ("alibaba", "local"):
        told = settings_of(registry.load(provider).settings_type)
        yield from ((provider, name, one.env[0]) for name, one in told.items() if one.secret)


def secret_words() -> Iterator[dict[str, list[Any]]]:
    """Every flag and variable that would give a secret setting of Alibaba's, with a value."""
    told = settings_of(registry.load("alibaba").settings_type)
    for name, one in told.items():
        if one.secret:
            yield {"args": [f"--{name.replace('_', '-')}={CANARY}"]}
            yield from ({"env": [{"name": variable, "value": CANARY}]} for variable in one.env)


def test_the_list_of_secret_settings_is_up_to_date() -> None:
    """The chart's file is made from the settings' declarations."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "chart_secrets.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.k8s
@pytest.mark.parametrize(("provider", "name", "variable"), sorted(secret_settings()))
def test_a_secret_setting_is_refused_with_the_place_that_it_belongs_to(
    helm: Helm, provider: str, name: str, variable: str
) -> None:
    """The message names a Secret and a way to give it, and doesn't repeat the value."""
    settings = {"region": "cn-hangzhou", name: f"http://{CANARY}"}
    with pytest.raises(Refused) as refused:
        helm.render(values={"provider": {"name": provider, "settings": settings}})
    told = str(refused.value)
    assert f"provider.settings.{name} may hold a secret" in told
    assert variable in told or "credentials.existingSecret" in told
    assert "Secret" in told
    assert "canary" not in told


@pytest.mark.k8s
def test_a_proxy_without_a_password_is_no_secret(helm: Helm) -> None:
    """By either value it arrives."""
    proxy = "http://proxy:3128"
    by_settings = helm.render(
        values={"provider": {"settings": {"region": "cn-hangzhou", "proxy": proxy}}}
    )
    by_value = helm.render(values=REGION | {"proxy": proxy})
    assert filled(config(by_settings), "alibaba")[1].proxy == proxy
    environment = container(by_value.one("Deployment"), "diskcsi")["env"]
    assert {"name": "DISKCSI_PROXY", "value": proxy} in environment


@pytest.mark.k8s
def test_a_proxys_password_is_not_taken_as_a_value(helm: Helm) -> None:
    """It would stand in the Deployment, which more people may read than Secrets."""
    with pytest.raises(
        Refused, match=r"^Error: .*proxy may hold a .*DISKCSI_PROXY.*Secret"
    ) as refused:
        helm.render(values=REGION | {"proxy": f"http://{CANARY}:3128"})
    assert "canary" not in str(refused.value)


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["access_key_secret", "proxy"])
def test_a_secret_among_the_drivers_own_settings_is_refused_as_well(helm: Helm, name: str) -> None:
    """They stand in the same ConfigMap; that the driver knows no such setting would come too late."""
    with pytest.raises(Refused, match=rf"driver\.settings\.{name} may hold a secret"):
        helm.render(values=REGION | {"driver": {"settings": {name: f"http://{CANARY}"}}})


def of_folder(**provider: object) -> dict[str, object]:
    """Values for a provider that the chart doesn't know."""
    return {"provider": {"name": "folder", **provider}, "driverName": "folder.example.org"}


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["http_headers", "token_file", "keyboard"])
def test_of_a_provider_that_the_chart_does_not_know_other_names_pass(helm: Helm, name: str) -> None:
    """They are for the provider to say."""
    values = of_folder(settings={name: "value"})
    assert config(helm.render(values=values)) == {"folder": {name: "value"}}


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["api_token", "api_key", "secret_key", "credentials", "auth"])
def test_of_a_provider_that_the_chart_does_not_know_names_tell(helm: Helm, name: str) -> None:
    """A key by its name is refused, unless it is listed as none."""
    values = of_folder(settings={name: "value"})
    with pytest.raises(Refused, match=r"by controller\.envFrom, from a Secret.*publicSettings"):
        helm.render(values=values)
    listed = of_folder(settings={name: "value"}, publicSettings=[name])
    assert config(helm.render(values=listed)) == {"folder": {name: "value"}}


@pytest.mark.k8s
@pytest.mark.parametrize("part", ["controller", "node"])
@pytest.mark.parametrize("given", list(secret_words()), ids=str)
def test_what_is_declared_secret_is_no_value_of_a_pod(
    helm: Helm, part: str, given: dict[str, list[Any]]
) -> None:
    """Flags and variables stand in its description; the message names where and the way out."""
    with pytest.raises(Refused, match=r"(from a|into the) Secret") as refused:
        helm.render(values=REGION | {part: given})
    told = str(refused.value)
    (where,) = given
    assert f"{part}.{where}: " in told
    assert "DISKCSI_PROXY" in told or "HEADERS" in told or "credentials.existingSecret" in told
    assert "canary" not in told


Values = dict[str, dict[str, list[Any]]]


def variable(name: str, value: str = "canary") -> Values:
    """Values with one more variable of the controller."""
    return {"controller": {"env": [{"name": name, "value": value}]}}


def flag(text: str) -> Values:
    """Values with one more flag of the controller."""
    return {"controller": {"args": [text]}}


def arrived(rendered: Rendered, values: Values) -> bool:
    """Whether the driver is given the words of these values."""
    driver = container(rendered.one("Deployment"), "diskcsi")
    return all(
        one in driver[where] for where, words in values["controller"].items() for one in words
    )


@pytest.mark.k8s
@pytest.mark.parametrize(
    "values",
    [
        variable("HTTPS_PROXY", f"http://{CANARY}:1"),
        variable("AWS_SECRET_ACCESS_KEY"),
        variable("ENDPOINT", f"http://{CANARY}:1"),
        flag(f"--endpoint-url=http://{CANARY}:1"),
        flag(f"--endpoint-url http://{CANARY}:1"),
        flag("--access-key-secret canary"),
        {"node": {"args": [f"--metadata-url=http://{CANARY}:1"]}},
        {"sidecars": {"attacher": {"args": [f"--http-url=http://{CANARY}:1"]}}},
    ],
    ids=str,
)
def test_a_key_or_password_that_anybody_knows_is_refused_too(
    helm: Helm, values: dict[str, object]
) -> None:
    """Other programs' keys, and passwords in addresses: they tell without a declaration."""
    with pytest.raises(Refused, match=r"(from a|into the) Secret") as refused:
        helm.render(values=REGION | values)
    assert "canary" not in str(refused.value)


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["RETRY_TOKEN_BUCKET", "SECRET_NAME", "HEADERS_MAX"])
def test_of_a_known_provider_names_alone_refuse_no_variable(helm: Helm, name: str) -> None:
    """Its declarations tell what is secret."""
    word = variable(name, "5")
    assert arrived(helm.render(values=REGION | word), word)


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("word", "listed"),
    [
        (variable("FOLDER_API_TOKEN"), "folder_api_token"),
        (flag("--secret-key=canary"), "secret_key"),
    ],
    ids=["variable", "flag"],
)
def test_of_a_provider_that_the_chart_does_not_know_names_of_flags_and_variables_tell(
    helm: Helm, word: Values, listed: str
) -> None:
    """As those of its settings do, with the same exceptions."""
    with pytest.raises(Refused, match=rf"from a Secret.*list {listed} in") as refused:
        helm.render(values=of_folder() | word)
    assert "canary" not in str(refused.value)
    assert arrived(helm.render(values=of_folder(publicSettings=[listed]) | word), word)


@pytest.mark.k8s
@pytest.mark.parametrize(
    "word",
    [variable("FOLDER_TOKEN_FILE", "/run/token"), flag("--http-headers=X: y"), flag("--no-auth")],
    ids=str,
)
def test_of_a_provider_that_the_chart_does_not_know_other_words_pass(
    helm: Helm, word: Values
) -> None:
    """Places of secrets, names of another provider's settings, and switches hold none."""
    assert arrived(helm.render(values=of_folder() | word), word)


@pytest.mark.k8s
def test_a_variable_from_a_secret_is_the_way(helm: Helm) -> None:
    """Its value stands nowhere in the chart."""
    from_secret = {"secretKeyRef": {"name": "mine", "key": "secret"}}
    given = [
        {"name": name, "valueFrom": from_secret} for name in ("DISKCSI_PROXY", "ACCESS_KEY_SECRET")
    ]
    rendered = helm.render(values=REGION | {"controller": {"env": given}})
    environment = container(rendered.one("Deployment"), "diskcsi")["env"]
    assert [one for one in environment if one in given] == given
