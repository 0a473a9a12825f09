"""Examples are run or checked as far as they can be without a cluster."""

import re
from pathlib import Path

import pytest
import yaml

from docs.generate import setting_keys
from jobs.config import Settings, check_settings
from tests.client.builders import write_store
from tests.docs.pages import PAGE_NAMES, PAGES, Code, all_blocks, inline_code

PYTHON = all_blocks("python")
YAML = all_blocks("yaml")
KEY = re.compile(r"(?:source|collection|limits|privacy|release)\.(?!json|yaml)[a-z_.]+(?::|$)")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("public")
    write_store(root)
    return root


@pytest.mark.parametrize("block", PYTHON, ids=[block.page for block in PYTHON])
def test_python_examples_run(block: Code, store: Path) -> None:
    """The two lines of the README are what most people will ever read of it."""
    code = block.text.replace("https://bucket.example/", str(store))
    code = code.replace("container_memory_working_set_bytes", "node_load1")
    names: dict[str, object] = {}

    exec(compile(code, block.page, "exec"), names)  # noqa: S102 - the documentation's own code

    assert len(names["df"]) > 0  # type: ignore[arg-type]


@pytest.mark.parametrize("block", YAML, ids=[block.page for block in YAML])
def test_configuration_examples_are_accepted(block: Code) -> None:
    settings = check_settings(yaml.safe_load(block.text), block.page)

    assert isinstance(settings, Settings)


def test_there_are_examples_to_check() -> None:
    assert PYTHON
    assert YAML


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_every_configuration_key_that_a_page_names_exists(page: Path) -> None:
    keys = {key for key, _ in setting_keys()}
    known = keys | {key.rpartition(".")[0] for key in keys}
    named = [code.partition(":")[0] for code in inline_code(page) if KEY.match(code)]

    assert not [name for name in named if name not in known]
