"""Every command of the documentation, typed in the order of its page into a shell in a fresh clone."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.docs import markdown
from tests.docs.markdown import Command
from tests.docs.reader import Reader, clone

START = next(markdown.commands("README.md"))
PATH = Command("README.md", 0, 'export PATH="$PWD/.venv/bin:$PATH"')

WITH_COMMANDS = [page for page in markdown.pages() if any(markdown.commands(page))]


@contextlib.contextmanager
def reader_of(page: str) -> Iterator[Reader]:
    """In a clone, Kronik running and on PATH, as the pages behind the README say, unless they start it themselves."""
    with clone() as home:
        reader = Reader(home)
        for name, text in markdown.files(page).items():
            (home / name).write_text(text, encoding="utf-8")
        try:
            if page != "README.md":
                reader.follow(PATH)
            if not any(command.until and "make up" in command.text for command in markdown.commands(page)):
                reader.follow(START)
            yield reader
        finally:
            reader.leave()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_does_what_its_page_says(page: str, subtests: pytest.Subtests) -> None:
    with reader_of(page) as reader:
        for command in markdown.commands(page):
            with subtests.test(str(command)):
                _skip_unless_it_can_be_run(command)
                reader.follow(command)


def _skip_unless_it_can_be_run(command: Command) -> None:
    if command.not_run:
        pytest.skip(f"{command}: {command.not_run}")
    missing = [tool for tool in command.tools if shutil.which(tool) is None]
    if missing and os.environ.get("KRONIK_REQUIRE_TOOLS"):
        pytest.fail(f"{command} needs {', '.join(missing)}, which must be there: KRONIK_REQUIRE_TOOLS is set")
    if missing:
        pytest.skip(f"{command} needs {', '.join(missing)}")
