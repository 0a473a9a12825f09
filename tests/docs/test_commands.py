"""What the documentation tells people to type exists, with these options."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import opscommons
from tests.docs.pages import (
    PAGE_NAMES,
    PAGES,
    ROOT,
    Code,
    all_blocks,
    check_command,
    cli_commands,
    commands_in,
    fenced_blocks,
    inline_code,
)

each_page = pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
BASH = all_blocks("bash")
README = ROOT / "README.md"


def shell_of(page: Path) -> str:
    blocks = [block.text for block in fenced_blocks(page) if block.language == "bash"]
    return "\n".join((*blocks, *inline_code(page)))


@each_page
def test_every_command_exists_with_these_options(page: Path) -> None:
    problems = [check_command(program, words) for program, words in commands_in(shell_of(page))]

    assert not [problem for problem in problems if problem]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("opspub snapshot --since 1h", "snapshot has no option --since"),
        ("opspub collect", "opspub has no command collect"),
        ("opspub verify 2026.11.0 twice", "verify takes 1 arguments"),
        ("opscommons fetch", "opscommons does not take ['fetch']"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(command: str, told: str) -> None:
    ((program, words),) = commands_in(command)

    assert check_command(program, words) == told


@each_page
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|\s)make ([a-z0-9-]+)", shell_of(page), re.MULTILINE))

    assert named <= targets


@pytest.mark.parametrize("block", BASH, ids=[f"{block.page}-{index}" for index, block in enumerate(BASH)])
def test_shell_examples_are_shell(block: Code) -> None:
    checked = subprocess.run(
        [shutil.which("bash") or "bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_the_readme_lists_every_command() -> None:
    """Who adds a command says so where people look first."""
    named = {" ".join(words) for program, words in commands_in("\n".join(inline_code(README))) if program == "opspub"}

    assert not [command for command in cli_commands() if not any(each.startswith(command) for each in named)]


def test_what_the_readme_calls_missing_is_missing() -> None:
    """An honest status goes stale in both directions; this is the one that nobody notices."""
    status = README.read_text("utf-8").partition("## Status")[2]
    line = status.partition("**Commands:**")[2].partition("- **")[0]
    missing = re.findall(r"`([a-z ]+)`", line)

    assert not set(missing) & cli_commands()
    assert not hasattr(opscommons, "live")
    assert check_command("opscommons", ["cite"])
