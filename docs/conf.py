"""Settings of the documentation."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

from mixtura import __version__

project = "mixtura"
author = "The mixtura developers"
copyright = author
release = version = __version__

sys.path.insert(0, str(Path(__file__).parent))  # formulas.py, names.py
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "formulas",
    "names",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
myst_heading_anchors = 3

autosummary_generate = False  # the reference is one page
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types and shapes
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_theme_options = {
    # a line of code of 98 characters is as wide as the text
    "light_css_variables": {"code-font-size": "75%"},
    "dark_css_variables": {"code-font-size": "75%"},
}
html_title = f"mixtura {release}"
html_show_sphinx = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    app.connect("source-read", _close_code)


def _close_code(app: Sphinx, page: str, source: list[str]) -> None:
    # the empty line that ends a doctest need not be seen
    source[0] = source[0].replace("\n\n```\n", "\n```\n")
