"""Settings of the documentation."""

from mixtura import __version__

project = "mixtura"
author = "The mixtura developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = False  # the reference is one page
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types and shapes
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"mixtura {release}"
html_show_sphinx = False
html_show_copyright = False
