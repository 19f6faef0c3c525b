"""Cards of the networks and tokenizers: what each is, what for, how well it does, where it fails."""

from pages import text
from pages.describe import Card
from pages.material import Material


def written(material: Material) -> str:
    """Their Markdown."""
    parts = [
        "# Cards of networks and tokenizers",
        "In the manner of Mitchell et al., *Model Cards for Model Reporting*. Written by `make pages`; numbers are "
        "read from `results/`. All are trained here, from nothing, on drawn pictures; none is distributed but in a "
        "bundle that `make bundle` packs. They draw and read geometric shapes, and are of no use for pictures of "
        "people or things.",
    ]
    for study, described in material.pages.items():
        for card in described.cards:
            parts += [f"## {text.plain(card.name)}", _card(material, card, study)]
    return "\n\n".join(parts) + "\n"


def _card(material: Material, card: Card, study: str) -> str:
    lines = [
        f"- **What it is**: {text.plain(card.what)}",
        f"- **For**: {text.plain(card.use)}",
        f"- **Limits**: {text.plain(card.limits)}",
        f"- **Trained by** stage `{card.stage}`; settings {', '.join(f'`{name}`' for name in card.settings)}",
        *(f"- **{text.plain(one.label)}**: {_quantity(material, one)}" for one in card.numbers),
    ]
    return "\n".join(lines)


def _quantity(material: Material, quantity) -> str:
    found = material.value(quantity.file, quantity.key)
    build = text.interval if isinstance(found, dict) else text.data
    return f"{build(material, quantity.file, quantity.key)} {text.plain(quantity.unit)}".strip()
