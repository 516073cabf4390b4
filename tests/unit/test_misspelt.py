"""A setting that nothing reads is said, with the one that was probably meant."""

import re
from pathlib import Path

import kronik
import pytest

import services
from services.infra import misspelt

CODE = [Path(services.__file__).parent, Path(kronik.__file__).parent]
_NAME = re.compile(r"\bKRONIK_[A-Z][A-Z_]*[A-Z]\b")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KRONIK_REPLICA", "KRONIK_REPLICAS"),
        ("KRONIK_HEYNABO_PASWORD", "KRONIK_HEYNABO_PASSWORD"),
        ("KRONIK_DATABSE_URL", "KRONIK_DATABASE_URL"),
        ("KRONIK_BREAD_OVEN", None),
    ],
)
def test_what_is_misspelt_is_named_with_what_was_meant(name: str, meant: str | None) -> None:
    [found] = misspelt.unread({name: "3", "KRONIK_PORT": "1", "KRONIK_PARAM_MONTH": "x", "HOME": "/"})
    assert (found.name, found.meant) == (name, meant)
    assert str(found).startswith(f"{name} is set, but is no setting of Kronik")


def test_every_setting_that_the_code_names_is_known() -> None:
    files = [file for root in CODE for file in root.rglob("*.py")]
    named = {name for file in files for name in _NAME.findall(file.read_text())}
    assert named - misspelt.KNOWN == set()
