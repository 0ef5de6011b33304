"""Formulas as MathML, which browsers show without a script or a network."""

from html import escape

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_converter = LatexToMathML()
WORD_JOINER = "&#8288;"
"""Keeps a full stop on the line of the formula before it."""

_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (_inline, None), (_displayed, None))


def _inline(page: HTML5Translator, node: nodes.math) -> None:
    page.body.append(_mathml(node) + WORD_JOINER)
    raise nodes.SkipNode


def _displayed(page: HTML5Translator, node: nodes.math_block) -> None:
    page.body.append(page.starttag(node, "div", CLASS="math"))
    page.body.append(_mathml(node, displayed=True))
    page.body.append("</div>\n")
    raise nodes.SkipNode


def _mathml(node: nodes.math | nodes.math_block, *, displayed: bool = False) -> str:
    formula = node.astext()
    try:
        return _converter.convert_with_local_state(formula, displaystyle=displayed)
    except LatexError as error:
        _log.warning("formula %r: %s", formula, error, location=node)
        return f"<code>{escape(formula)}</code>"
