"""The command line: it teaches, and says in one line what went wrong."""

import os
import subprocess
import sys

import pytest

COMMANDS = [
    "demo", "check", "classify", "ingest", "serve", "labels", "profile", "model",
    "bench", "qmap", "export", "train", "why", "decisions", "agent",
]  # fmt: skip


def ainerd(*arguments, cwd=None, **variables):
    return subprocess.run(
        [sys.executable, "-m", "ainerd_bluesky", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", "TERM": "dumb", **variables},
    )


@pytest.fixture(scope="module")
def help_text():
    return ainerd("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names(help_text, command):
    assert f" {command} " in help_text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own(command):
    answer = ainerd(command, "--help")
    assert answer.returncode == 0
    assert "Usage:" in answer.stdout


@pytest.mark.parametrize(
    ("given", "taken"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "4"}, "4")]
)
def test_linear_algebra_has_one_thread_unless_a_person_says_more(given, taken):
    code = (
        "import os, sys\n"
        "from ainerd_bluesky.cli import main\n"
        "assert 'numpy' not in sys.modules\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    environment = {**os.environ, **given}
    if not given:
        environment.pop("OPENBLAS_NUM_THREADS", None)
    answer = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert answer.stdout.split()[-1] == taken


def test_version_is_printed():
    assert ainerd("--version").stdout.startswith("ainerd-bluesky 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "x.npy", "--uri", "http://127.0.0.1:9"], "ainerd serve"),
        (["labels", "--uri", "http://127.0.0.1:9"], "ainerd serve"),
        (["profile", "install", "--beamline", "atlantis"], "atlantis|IPython profile"),
        (["classify", __file__, "--png", "no/where.png"], "no folder no to write into"),
        (["classify", __file__, "--png", __file__], "write to another file"),
        (["ingest", "."], "no data files in ."),
    ],
    ids=["server", "labels", "beamline", "picture", "own picture", "empty folder"],
)
def test_error_is_one_line_with_the_cure_and_no_traceback(arguments, message, tmp_path):
    answer = ainerd(*arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert any(word in answer.stderr for word in message.split("|"))


def test_file_that_is_not_there_is_named():
    answer = ainerd("classify", "none.npy")
    assert answer.returncode == 2
    assert "'none.npy' does not exist" in answer.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_frame_time_must_be_longer_than_nothing(seconds):
    answer = ainerd("classify", __file__, "--frame-time", seconds)
    assert answer.returncode == 2
    assert "more than 0 s" in answer.stderr


def test_a_model_on_a_server_is_to_be_fetched_first():
    answer = ainerd("classify", __file__, "--model", "registry:ainerd-xpcs")
    assert answer.returncode == 2
    assert "ainerd model fetch NAME" in answer.stderr


def test_name_with_brackets_is_printed_as_it_is(tmp_path):
    path = tmp_path / "map[bold][x] :on:.npy"
    path.write_text("no array")
    answer = ainerd("classify", path)
    assert answer.returncode == 1
    assert answer.stderr == f"error: {path} is no readable .npy file\n"


def test_profile_install_writes_one_start_up_file(tmp_path):
    answer = ainerd(
        "profile", "install", "--beamline", "demo", "--startup-dir", tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    (written,) = tmp_path.iterdir()
    assert written.name in answer.stdout


def test_profile_list_names_the_demo():
    assert "demo" in ainerd("profile", "list").stdout
