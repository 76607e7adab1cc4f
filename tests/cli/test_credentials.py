"""AWS's credential chain with real files and programs: a failure is one line that names the link and a way out."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rclone_server import RcloneServer, s3_server

__all__ = ["s3_server"]

ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"
SSO = "sso_account_id = 1\nsso_role_name = r\n"
NEW_SSO = (
    f"[profile x]\nsso_session = s\n{SSO}[sso-session s]\nsso_start_url = https://x/start\nsso_region = eu-west-1\n"
)
OLD_SSO = f"[profile x]\nsso_start_url = https://x/start\nsso_region = eu-west-1\n{SSO}"
KEYS = "aws_access_key_id = A\naws_secret_access_key = canary\n"
PROGRAM = "[profile x]\ncredential_process = {home}/give canary\n"
BY_HAND = "credential_process of AWS profile 'x' failed, or printed something that is not credentials; run it by hand"


class Home:
    """A home directory with AWS's files, in which commands run without a terminal."""

    def __init__(self, folder: Path, server: RcloneServer) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in server.environment.items() if "KEY" not in name},
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
            "AWS_PROFILE": "x",
        }
        self.server = server

    def write(self, name: str, text: str, *, executable: bool = False) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{home}", str(self.folder)))
        file.chmod(0o755 if executable else 0o600)

    def program(self, script: str) -> None:
        """What ``credential_process`` of the profile x runs; each run leaves a line."""
        self.write(".aws/config", PROGRAM)
        self.write("give", f"#!/bin/sh\necho run >>{self.folder}/runs\n{script}\n", executable=True)

    @property
    def runs(self) -> int:
        return (self.folder / "runs").read_text().count("\n")

    def snapdir(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in {**self.environment, **variables}.items() if value}
        return subprocess.run(
            [sys.executable, "-m", "snapdir", *arguments],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # no terminal at all
        )

    def fails(self, *words: str, **variables: str) -> None:
        """Listing the bucket fails in one line with these words and no secret."""
        run = self.snapdir("ls", f"s3://{self.server.bucket}", **variables)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.count("\n") == 1, run.stderr
        assert "canary" not in run.stderr
        for word in words:
            assert word in run.stderr


@pytest.fixture
def home(tmp_path: Path, s3_server: RcloneServer) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder, s3_server)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (NEW_SSO, "the SSO sign-in of AWS profile 'x' is missing or has expired; run `aws sso login --profile x`"),
        (OLD_SSO, "run `aws sso login --profile x`"),
        (f"[profile x]\n{ROLE}source_profile = y\n{NEW_SSO.replace('profile x', 'profile y')}", "--profile y`"),
        (f"[profile x]\nsso_session = s\n{SSO}", 'the SSO sign-in of AWS profile \'x\': The specified sso-session'),
        (
            f"[profile x]\n{ROLE}source_profile = y\nmfa_serial = arn:aws:iam::1:mfa/u\n[profile y]\n{KEYS}",
            "the role of AWS profile 'x' needs an MFA code, and there is no terminal to ask for one; in a terminal, run"
            " `aws configure export-credentials --profile x --format env`",
        ),
        (f"[profile x]\n{ROLE}", "the role of AWS profile 'x' lacks source_profile or credential_source"),
        (f"[profile x]\n{ROLE}source_profile = gone\n", "the role of AWS profile 'x': The source_profile \"gone\""),
        (f"[profile x]\n{ROLE}source_profile = y\n[profile y]\nregion = r\n", '"y" must have credentials'),
        (f"[profile x]\n{ROLE}credential_source = Environment\n", "No credentials found in credential_source"),
        (f"[profile x]\n{ROLE}credential_source = Moon\n", '"Moon"'),
        (
            f"[profile x]\n{ROLE}web_identity_token_file = {{home}}/gone\n",
            "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE, or AWS profile 'x') cannot be read: No such file",
        ),
        (PROGRAM, "credential_process of AWS profile 'x' cannot be run: No such file or directory: "),
        (
            "[profile x]\nlogin_session = arn:aws:iam::1:user/u\n",
            "the `aws login` sign-in of AWS profile 'x'",
        ),
        ("[profile x]\nregion = r\n", "no usable AWS credentials: set AWS_ACCESS_KEY_ID"),
        ("[profile x]\nregion = r\n", "for a public bucket, use --no-sign-request"),
    ],
    ids=[
        "sso", "old-sso", "role-of-sso", "sso-without-session", "mfa", "role-without-source", "role-of-nobody",
        "role-of-nothing", "role-of-no-variables", "role-of-the-moon", "web-identity", "no-program", "login", "nothing",
        "open-to-everyone",
    ],
)  # fmt: skip
def test_the_link_that_fails_is_named_with_the_way_out(home: Home, config: str, words: str) -> None:
    home.write(".aws/config", config)
    home.fails(words)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/gone", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}, "/gone; check that file"),
        ({"AWS_ACCESS_KEY_ID": "A"}, "lack AWS_SECRET_ACCESS_KEY"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}, "the credentials of the container"),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/gone",
            },
            "the credentials of the container",
        ),
    ],
    ids=["web-identity", "half-of-the-keys", "another-host-for-containers", "no-token-for-containers"],
)
def test_a_variable_that_leads_nowhere_is_named(home: Home, variables: dict[str, str], words: str) -> None:
    home.fails(words, AWS_PROFILE="", **variables)


@pytest.mark.parametrize(
    "script",
    [
        "echo canary >&2; exit 3",
        "printf '\\377\\376' >&2; exit 1",
        "echo canary",
        "printf '\\377\\376'",
        "echo '[\"canary\"]'",
        "echo '{\"Version\": 2}'",
        'echo \'{"Version": 1, "AccessKeyId": "A"}\'',
        "true",
    ],
    ids=["fails", "fails-in-bytes", "text", "bytes", "list", "another-version", "half", "nothing"],
)
def test_a_program_that_gives_none_is_run_once_and_not_quoted(home: Home, script: str) -> None:
    home.program(script)
    home.fails(BY_HAND)
    assert home.runs == 1


def test_a_push_of_many_files_runs_it_once_too(home: Home, tmp_path: Path) -> None:
    home.program("exit 3")
    for number in range(200):
        home.write(f"tree/{number}", f"content {number}")
    run = home.snapdir("push", "--store", f"s3://{home.server.bucket}/denied", str(home.folder / "tree"))
    assert (run.returncode, run.stderr.count(BY_HAND), home.runs) == (1, 1, 1)


def test_credentials_that_have_expired_already_are_said_to_be(home: Home) -> None:
    home.program(
        'echo \'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "canary", "SessionToken": "t", '
        '"Expiration": "2020-01-01T00:00:00Z"}\''
    )
    home.fails("credential_process of AWS profile 'x' returned expired credentials")


def test_a_service_of_credentials_that_is_not_there_is_not_asked_by_every_request(home: Home) -> None:
    home.write(".aws/config", f"[profile x]\n{ROLE}web_identity_token_file = {{home}}/token\n")
    home.write("token", "canary")
    home.fails(
        "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE, or AWS profile 'x') cannot be reached: Could not connect"
    )


def test_a_program_that_gives_some_is_enough(home: Home) -> None:
    keys = home.server.environment
    home.program(
        f'echo \'{{"Version": 1, "AccessKeyId": "{keys["AWS_ACCESS_KEY_ID"]}",'
        f' "SecretAccessKey": "{keys["AWS_SECRET_ACCESS_KEY"]}"}}\''
    )
    home.write("tree/file", "content")
    store = f"s3://{home.server.bucket}/given"
    pushed = home.snapdir("push", "--store", store, str(home.folder / "tree"))
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.strip() in home.snapdir("ls", store).stdout


def test_a_traceback_that_is_asked_for_shows_nothing_of_the_program(home: Home) -> None:
    home.program("echo canary; echo canary >&2")
    run = home.snapdir("ls", f"s3://{home.server.bucket}", SNAPDIR_DEBUG="1")
    assert "canary" not in run.stderr


def test_at_a_terminal_the_code_is_asked_for(home: Home) -> None:
    home.write(
        ".aws/config", f"[profile x]\n{ROLE}source_profile = y\nmfa_serial = arn:aws:iam::1:mfa/u\n[profile y]\n{KEYS}"
    )
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "snapdir", "ls", f"s3://{home.server.bucket}"],
        env={**home.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"MFA code for arn:aws:iam::1:mfa/u" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, b"\n")  # too short to be one: nothing is asked with it
    with suppress(OSError):  # how Linux says that nobody has the other end any more
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    assert run.wait() == 1
    assert b"the role of AWS profile 'x'" in shown


@pytest.mark.parametrize("first", ["", "trap '' TERM INT;"], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_program_that_takes_its_time(home: Home, number: signal.Signals, first: str) -> None:
    os.mkfifo(home.folder / "alive")
    home.program(f"{first} exec 3>{home.folder}/alive; echo started >&3; exec sleep 600")
    run = subprocess.Popen(
        [sys.executable, "-m", "snapdir", "ls", f"s3://{home.server.bucket}"],
        env={**home.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with open(home.folder / "alive") as alive:
        assert alive.readline() == "started\n"
        run.send_signal(number)
        assert alive.read() == ""  # which comes when the program has ended
    assert run.communicate()[1] == b""
    assert run.returncode in (-number, 128 + number)


def test_nor_does_a_child_of_it_that_holds_its_output_keep_anybody_waiting(home: Home) -> None:
    os.mkfifo(home.folder / "alive")
    home.program(f"sleep 15 & echo started > {home.folder}/alive")
    run = subprocess.Popen(
        [sys.executable, "-m", "snapdir", "ls", f"s3://{home.server.bucket}"],
        env={**home.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
    )
    with open(home.folder / "alive") as alive:
        assert alive.readline() == "started\n"
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=10) in (-signal.SIGINT, 128 + signal.SIGINT)
