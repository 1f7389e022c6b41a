"""The command line as its users meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from diskcsi import app, former
from diskcsi.cli import main
from diskcsi.ports.settings import settings_of
from diskcsi.providers import registry
from diskcsi.settings import Plan, Settings

VENDOR = registry.load("alibaba").settings_type
EVERY = {**settings_of(Settings), **settings_of(VENDOR)}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would have been served."""
    asked: list[Plan] = []
    monkeypatch.setattr(app, "run", asked.append)
    return asked


def diskcsi(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=dict(environment)).invoke(main, arguments)


def words_of(text: str) -> str:
    """A help page without its line breaks."""
    return " ".join(text.split())


@pytest.mark.parametrize("name", [name for name, told in EVERY.items() if not told.secret])
def test_help_shows_every_setting_with_its_environment(name: str) -> None:
    """The driver's and the provider's."""
    page = words_of(diskcsi("run", "--help").output)
    assert f"--{name.replace('_', '-')} " in page
    assert all(variable in page for variable in EVERY[name].env)


@pytest.mark.parametrize("name", [name for name, told in EVERY.items() if told.secret])
def test_a_secret_has_no_flag(name: str) -> None:
    """Arguments of a process are there for everybody to read."""
    told = diskcsi("run", f"--{name.replace('_', '-')}=hunter2")
    assert (told.exit_code, "No such option" in told.output) == (2, True)


@pytest.mark.parametrize("name", [name for name, told in EVERY.items() if told.secret])
def test_help_tells_where_a_secret_goes(name: str) -> None:
    """Under the environment's names."""
    assert " or ".join(EVERY[name].env) in words_of(diskcsi("run", "--help").output)


def test_the_go_driver_s_flags_are_understood(plans: list[Plan]) -> None:
    """Its manifests are taken as they are."""
    told = diskcsi(
        "run", "--endpoint=unix:///csi/csi.sock", "--driver=d.example.com", "--nodeid=i-1",
        "--run-controller-service=false", "--run-node-service=true", "--logging-format=text",
        "--v=4",
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    (plan,) = plans
    assert (
        plan.settings.socket_path, plan.driver_name, plan.provider_settings.nodeid,
        plan.settings.run_controller_service, plan.settings.run_node_service,
        plan.settings.logging_format, plan.settings.log_level,
    ) == ("/csi/csi.sock", "d.example.com", "i-1", False, True, "text", "DEBUG")  # fmt: skip


@pytest.mark.parametrize("name", sorted(former.FLAGS))
def test_a_former_driver_s_flag_is_taken_with_a_word(plans: list[Plan], name: str) -> None:
    """It would change nothing here, and says so."""
    told = diskcsi("run", f"--{name}=1")
    assert told.exit_code == 0, told.output
    assert plans[0].warnings == (f"--{name} has no effect: {former.FLAGS[name]}",)


@pytest.mark.parametrize("name", sorted(former.SWITCHES))
def test_a_former_driver_s_switch_may_stand_alone(plans: list[Plan], name: str) -> None:
    """And what follows it is another flag."""
    diskcsi("run", f"--{name}", "--nodeid=i-1")
    assert (len(plans[0].warnings), plans[0].provider_settings.nodeid) == (1, "i-1")


@pytest.mark.parametrize("name", sorted(former.VARIABLES))
def test_a_former_driver_s_variable_is_taken_with_a_word(plans: list[Plan], name: str) -> None:
    """Where it is switched off it asks for what is so anyway."""
    diskcsi("run", **{name: "true"})
    diskcsi("run", **{name: "False"})
    advice = f"{name} has no effect: {former.VARIABLES[name]}"
    assert [plan.warnings for plan in plans] == [(advice,), ()]


def test_former_flags_are_not_offered() -> None:
    """Help shows what has an effect."""
    page = diskcsi("run", "--help").output
    assert not [name for name in former.FLAGS if f"--{name} " in page]


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (["--v=2"], "INFO"),
        (["--v", "5"], "DEBUG"),
        (["--v=5", "--log-level=error"], "ERROR"),
    ],
)
def test_go_s_verbosity_gives_a_level(plans: list[Plan], arguments: list[str], level: str) -> None:
    """Our own flag says it more plainly, and wins."""
    diskcsi("run", *arguments)
    assert plans[0].settings.log_level == level


@pytest.mark.parametrize(
    ("arguments", "served"),
    [([], True), (["--run-node-service"], True), (["--run-node-service=false"], False)],
)
def test_a_choice_may_stand_alone(plans: list[Plan], arguments: list[str], *, served: bool) -> None:
    """Alone it means yes."""
    diskcsi("run", *arguments)
    assert plans[0].settings.run_node_service is served


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    plans: list[Plan], tmp_path: Path
) -> None:
    """For the provider's settings as for the driver's."""
    file = tmp_path / "diskcsi.toml"
    file.write_text(
        'http_port = 1\nlog_level = "error"\n[alibaba]\nregion = "cn-file"\nzone = "z"\n'
    )
    diskcsi("run", f"--config={file}", "--http-port=3", SERVICE_PORT="2", REGION_ID="cn-env")
    settings, vendor = plans[0].settings, plans[0].provider_settings
    assert (settings.http_port, settings.log_level, vendor.region, vendor.zone) == (
        3, "ERROR", "cn-env", "z",
    )  # fmt: skip


def test_secrets_come_from_the_environment(plans: list[Plan]) -> None:
    """By the new name or the old one."""
    diskcsi("run", ACCESS_KEY_ID="k", ALIBABA_CLOUD_ACCESS_KEY_SECRET="s")
    vendor = plans[0].provider_settings
    assert (vendor.access_key_id, vendor.access_key_secret) == ("k", "s")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("speed = 1", "the file has unknown settings speed"),
        ("[alibaba]\nspeed = 1", "the file has unknown settings speed"),
        ("alibaba = 1", "alibaba must be a table"),
        ("= 1", "can't be read"),
        ("http_port = 'x'", "file setting http_port can't be read"),
    ],
)
def test_a_file_that_can_t_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """A misspelled setting would otherwise silently be the default."""
    file = tmp_path / "diskcsi.toml"
    file.write_text(text)
    told = diskcsi("run", f"--config={file}")
    assert (told.exit_code, words in told.output) == (1, True)


def test_a_file_that_is_not_there_is_named() -> None:
    """Not taken for an empty one."""
    assert "/nowhere.toml can't be read" in diskcsi("run", "--config=/nowhere.toml").output


@pytest.mark.parametrize(
    "arguments", [["--provider=nobody"], ["--provider", "nobody"]], ids=["joined", "apart"]
)
def test_an_unknown_provider_is_refused_with_those_there_are(arguments: list[str]) -> None:
    """The operator sees the right spelling."""
    told = diskcsi("run", *arguments)
    assert (told.exit_code, "'nobody'; installed: alibaba" in told.output) == (2, True)


def test_the_provider_may_come_from_the_environment() -> None:
    """As everything else."""
    assert "nobody" in diskcsi("run", DISKCSI_PROVIDER="nobody").output


def test_what_keeps_a_driver_from_starting_is_told_in_one_line(tmp_path: Path) -> None:
    """Without a traceback: the operator can mend it."""
    path = tmp_path / "precious"
    path.write_text("data")
    told = subprocess.run(
        [sys.executable, "-m", "diskcsi", "run", f"--endpoint=unix://{path}"],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (
        1,
        f"Error: {path} exists and is no socket: remove it or set another endpoint\n",
    )


@pytest.mark.parametrize(
    ("words", "offered"),
    [("diskcsi run --run-no", "--run-node-service"), ("diskcsi r", "run"),
     ("diskcsi run --reg", "--region")],
)  # fmt: skip
def test_a_shell_can_complete(words: str, offered: str) -> None:
    """Options of the provider too, though they are found at run time."""
    told = subprocess.run(
        [sys.executable, "-m", "diskcsi"],
        env={
            "PATH": os.environ["PATH"], "_DISKCSI_COMPLETE": "bash_complete",
            "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert offered in {line.rpartition(",")[2] for line in told.stdout.splitlines()}
