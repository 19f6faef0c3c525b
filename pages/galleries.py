"""Pictures that a run kept, under their prompts, with the scene reader's ✓ or ✗ where the run kept that as well."""

from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from lib.errors import EaselError
from lib.evidence.strips import read_strip
from pages import text
from pages.describe import Gallery
from pages.material import Material

MARKS = {
    True: '<span class="right" title="right, says the scene reader">✓</span>',
    False: '<span class="wrong" title="wrong, says the scene reader">✗</span>',
}
PICTURES = Path("_static/pictures")


def prompts(material: Material, shown: Gallery) -> list[tuple[str, list[bool | None]]]:
    """Every prompt of a gallery with a mark a picture, None where the run kept no judgement.

    Raises:
        EaselError: a prompt without a text, or as many marks as there are no pictures.
    """
    found = []
    for entry in material.value(shown.texts, shown.key):
        marks: Any = None
        if isinstance(entry, dict):
            marks = entry.get("right")
            entry = entry.get("text") or entry.get("en")
        if not isinstance(entry, str):
            raise EaselError(f"{material.results / shown.texts}: an entry of {shown.key} has no text.")
        marks = [None] * shown.each if marks is None else marks if isinstance(marks, list) else [marks]
        if len(marks) != shown.each:
            raise EaselError(
                f"{material.results / shown.texts}: an entry of {shown.key} has {len(marks)} marks, not {shown.each}."
            )
        found.append((entry, marks))
    return found


def cut(material: Material, shown: Gallery, site: Path) -> None:
    """Writes every picture of a gallery as a file below the folder `site`.

    Raises:
        EaselError: the strip holds another number of pictures than there are prompts.
    """
    images, texts = read_strip(material.results / shown.strip), prompts(material, shown)
    if len(images) != len(texts) * shown.each:
        raise EaselError(
            f"{material.results / shown.strip} holds {len(images)} pictures, not {len(texts)} × {shown.each}."
        )
    folder = site / PICTURES / name(shown)
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")


def name(shown: Gallery) -> str:
    """The folder of its pictures."""
    return text.slug(shown.strip.removesuffix(".png"))


def gallery(material: Material, study: str, shown: Gallery, up: str) -> str:
    """One gallery, with a heading of the third level."""
    texts = prompts(material, shown)
    judged = any(mark is not None for _, marks in texts for mark in marks)
    parts = [f"### {text.plain(shown.title)}"]
    if shown.note:
        parts.append(text.plain(shown.note))
    if said := _said(material, shown, judged):
        parts.append(said)
    cells = []
    for index, (prompt, marks) in enumerate(texts):
        pictures = ""
        for i, mark in enumerate(marks):
            source = f"{up}{PICTURES}/{name(shown)}/{index * shown.each + i}.png"
            said = escape(prompt) + (f", candidate {i + 1}" if shown.each > 1 else "")
            image = f'<img src="{source}" alt="{said}" loading="lazy">'
            pictures += f'<span class="picture">{image}{MARKS.get(mark, "")}</span>'
        cells.append(f"<li>{pictures}<span class=prompt>{escape(prompt)}</span></li>")
    wide = ' class="gallery wide"' if shown.each > 1 else ' class="gallery"'
    origin = material.results / shown.texts
    return "\n\n".join(parts) + f'\n\n<ul{wide} data-from="{origin}">\n' + "\n".join(cells) + "\n</ul>\n"


def _said(material: Material, shown: Gallery, judged: bool) -> str:
    """What is known of how many are right."""
    share = ""
    if shown.share:
        file, key = shown.share.split()
        found = text.filled(material, f"{{{{{file} {key} %}}}}")
        share = (
            f"Of all such pictures of the run the scene reader finds {found} right: what is asked for, nothing else."
        )
    return f"✓ and ✗ are the scene reader's. {share}".strip() if judged else share


def page(material: Material) -> str:
    """All galleries on one page."""
    parts = [
        "# Galleries",
        "No prompt and no picture was picked by hand.",
    ]
    for study, described in material.pages.items():
        if described.galleries:
            parts.append(f"## {text.plain(described.title)}")
            parts += [gallery(material, study, one, "") for one in described.galleries]
    described_in = [f"studies/{study}/page.yaml" for study in material.studies]
    return text.front(["docs/page.yaml", *described_in]) + "\n\n".join(parts) + "\n"
