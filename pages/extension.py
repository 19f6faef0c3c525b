"""What Sphinx is told: formulas as MathML, and pages without any address outside the site."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from pages import mathml


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml.convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{mathml.convert(node.astext(), display=True)}</div>\n')
    raise nodes.SkipNode
