"""The site, built once for all tests of a process."""

from contextlib import chdir
from pathlib import Path

import pytest

from lib.pages import build
from lib.pages.material import Material
from tests.house import REPOSITORY
from tests.pages.site import Site


def pytest_collection_modifyitems(items):
    """All of them in one process: the site takes half a minute to build."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("pages"))


@pytest.fixture(scope="session")
def material():
    """What the committed pages are made from."""
    with chdir(REPOSITORY):
        return Material()


@pytest.fixture(scope="session")
def site(material, tmp_path_factory):
    """The whole site, in a folder of its own; no committed file is written."""
    out = tmp_path_factory.mktemp("pages")
    with chdir(REPOSITORY):
        build.build(material, out)
    return Site(out / "html")
