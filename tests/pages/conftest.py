"""The site, built once for all tests of a process, of which those that look at it, or at what it is made from,
take one (xdist_group)."""

from contextlib import chdir

import pytest

from pages import build
from pages.material import Material
from tests.house import REPOSITORY
from tests.pages.site import Site


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
