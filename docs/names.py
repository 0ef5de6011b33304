"""Names of classes and functions lead to the reference."""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import mixtura
import mixtura.plot

PUBLIC = {
    **{name: f"mixtura.plot.{name}" for name in mixtura.plot.__all__},
    **{name: f"mixtura.{name}" for name in mixtura.__all__},
}


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", _linked)


def _linked(app: Sphinx, page: nodes.document) -> None:
    """Wrap names in what becomes a link where the reference has them.

    A lower-case name is also that of a parameter, a method or a command: it is the function on
    pages whose code imports it.
    """
    if app.env.docname == "api" or app.env.docname.startswith("decisions"):
        return
    code = "\n".join(block.astext() for block in page.findall(nodes.literal_block))
    imported = {
        name
        for names in re.findall(r"from mixtura(?:\.plot)? import ([\w, ]+)", code)
        for name in re.findall(r"\w+", names)
    }
    for literal in list(page.findall(nodes.literal)):
        name = re.sub(r"\(.*\)$", "", literal.astext())  # a call is named by what is called
        target = PUBLIC.get(name) if name in imported or not name.islower() else None
        if name.startswith("mixtura.") and name.replace(".", "").isidentifier():
            target = name
        if target is None or isinstance(literal.parent, nodes.reference | nodes.title):
            continue
        link = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=target, refdoc=app.env.docname
        )
        literal.replace_self(link)
        link += literal
