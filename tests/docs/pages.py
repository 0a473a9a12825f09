"""Read the documentation as a program sees it: pages, their code, the commands that they name."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from jobs.cli import app
from opscommons._cli import build_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
PAGE_NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|/|[;&|])[ \t]*(?P<program>opspub|opscommons)[ \t]+(?P<words>[^\n#|&]*)", re.MULTILINE)


@dataclass(frozen=True)
class Code:
    """A fenced block."""

    page: str
    language: str
    text: str


def fenced_blocks(page: Path) -> list[Code]:
    name = page.relative_to(ROOT).as_posix()
    found = _FENCE.finditer(page.read_text("utf-8"))
    return [Code(name, block["language"], re.sub(f"(?m)^{block['indent']}", "", block["text"])) for block in found]


def inline_code(page: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text("utf-8"))
    return [code.strip() for code in re.findall(r"`([^`\n]+)`", text)]


def all_blocks(language: str) -> list[Code]:
    return [block for page in PAGES for block in fenced_blocks(page) if block.language == language]


def commands_in(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield program and words of every command of ours in some shell code."""
    for found in _COMMAND.finditer(text.replace("\\\n", " ")):
        yield found["program"], shlex.split(found["words"])


def check_command(program: str, words: list[str]) -> str | None:
    """Return what is wrong with a command; ``None`` when its program would take it."""
    if program == "opspub":
        return _check_opspub(words)
    try:
        build_parser().parse_args(words)
    except SystemExit as stopped:
        return None if stopped.code == 0 else f"opscommons does not take {words}"
    return None


def cli_commands() -> set[str]:
    """Return every command of ``opspub``, those of groups with both words."""
    root: Any = typer.main.get_command(app)
    return {
        f"{name} {inner}" if inner else name
        for name, command in root.commands.items()
        for inner in (getattr(command, "commands", None) or [""])
    }


def _check_opspub(words: list[str]) -> str | None:
    command: Any = typer.main.get_command(app)
    given, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            found = [each for each in command.params if word.partition("=")[0] in each.opts]
            if not found and word not in ("--help", "-h"):
                return f"{command.name} has no option {word}"
            skip = bool(found) and not found[0].is_flag and "=" not in word
        elif hasattr(command, "commands"):
            if word == "COMMAND":
                return None
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
        else:
            given += 1
    wanted = [each for each in command.params if each.param_type_name == "argument"]
    return f"{command.name} takes {len(wanted)} arguments" if given > len(wanted) else None
