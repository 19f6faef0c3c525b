"""What people write about a study for its pages: the sections of its page.yaml, and the papers of docs/references.yaml.

No measured number stands in them: they name where in results/<profile>/ a number lies.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lib import config, config_tree
from lib.config_tree import Count, Entries, Name, Section, Several, require

Date = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]


class Paper(Section):
    """A source that claims are from."""

    key: Name
    """of its BibTeX entry"""
    title: str
    authors: Several[str]
    """family name, comma, given names, as in BibTeX; a group's name has no comma"""
    year: Count
    arxiv: str = ""
    """number of the preprint"""
    url: str = ""
    """where it is, if not there"""
    venue: str = ""
    """where it was published, if anywhere"""
    found_by: str = ""
    """words of the ledger's source by which it is found, if those name no preprint"""

    def check(self) -> None:
        require(self.arxiv or self.url, "arxiv", "or url must say where the paper is")

    @property
    def names(self) -> list[str]:
        """Authors, given names first."""
        return [" ".join(reversed(author.split(", "))) for author in self.authors]

    @property
    def address(self) -> str:
        """Where to read it."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.url


class Gallery(Section):
    """Pictures that a run kept, under their prompts."""

    title: str
    strip: str
    """the pictures, below each other, in results/<profile>/"""
    texts: str
    """file with their prompts"""
    key: str
    """dotted key of the prompts in it: texts, or entries with `text` and, where the scene reader judged the pictures,
    `right` (true or false, a list of them for several pictures)"""
    each: Count = 1
    """pictures a prompt"""
    note: str = ""
    share: str = ""
    """file and dotted key of the share of such pictures that the reader finds right, where it was measured"""


class Axis(Section):
    """One number of every row of a chart."""

    key: str
    """dotted, in the row"""
    label: str
    """with its unit"""
    better: Literal["lower", "higher", "neither"] = "neither"


class Chart(Section):
    """An interactive figure over numbers that lie in a results file.

    grid: a cell for every pair of `x` and `y`; sweep: `values` over `x`; points: one of `values` over another.
    """

    id: Name
    kind: Literal["grid", "sweep", "points"]
    title: str
    file: str
    rows: Entries[str]
    """choice → dotted key of its rows, a list or a mapping from names"""
    x: Axis | None = None
    y: Axis | None = None
    values: Several[Axis]
    note: str = ""
    names: Entries[str] = config_tree.Table({})
    """of rows, as readers know them"""
    pictures: str = ""
    """sweep only: path of a strip in results/<profile>/, `{x}` in place of the value on the axis"""
    shown: Count = 16
    """pictures of it"""

    def check(self) -> None:
        require(self.rows, "rows", "must name where the rows lie")
        require(self.values, "values", "must name what is measured")
        require((self.kind == "points") == (self.x is None), "x", "is needed by grid and sweep, and by them only")
        require((self.kind == "grid") == (self.y is not None), "y", "is needed by grid, and by it only")
        require(self.kind != "points" or len(self.values) > 1, "values", "must be two or more, to set against another")


class Quantity(Section):
    """A number for a card."""

    label: str
    file: str
    key: str
    unit: str = ""


class Card(Section):
    """A model card: what a network or a tokenizer is, what it is for, how well it does."""

    name: str
    stage: str
    """that trains it"""
    settings: Several[str]
    """`file: section` of its settings"""
    what: str
    use: str
    limits: str
    numbers: Several[Quantity]


class Page(Section):
    """A study's page.yaml."""

    title: str
    captions: Entries[str] = config_tree.Table({})
    """figure → a sentence or two for people who cannot or can see it, n among them as `{{file key}}` or, of a list,
    `{{file key n}}`; see `pages.text.filled`"""
    galleries: Several[Gallery] = ()
    charts: Several[Chart] = ()
    cards: Several[Card] = ()


class References(Section):
    """docs/references.yaml."""

    released: Date
    """of Easel, year-month-day"""
    papers: Several[Paper]


def page(study: str) -> Page:
    """What page.yaml says of a study; of the bench, in docs/, if it is "".

    Raises:
        EaselError: no such file, or one that breaks the rules above.
    """
    path = (config.folder(study) if study else Path("docs")) / "page.yaml"
    return config_tree.read(config_tree.read_yaml(path), Page, str(path))


def references() -> References:
    """What docs/references.yaml holds.

    Raises:
        EaselError: as for `page`.
    """
    path = "docs/references.yaml"
    return config_tree.read(config_tree.read_yaml(path), References, path)
