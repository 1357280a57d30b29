"""Configuration of the documentation."""

import inspect
import re

import matplotlib as mpl

import skdim

mpl.use("Agg")

project = "skdim"
copyright = "2026, skdim developers"
author = "skdim developers"
version = release = skdim.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples/*.rst"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "skdim"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skdim"},
    "navigation_with_keys": False,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def add_cited_references(app, what, name, obj, options, lines):
    """Give a docstring that cites ``[1]_`` the entry of its module's own list of references."""
    text = "\n".join(lines)
    cited = set(re.findall(r"\[(\d+)\]_", text))
    if not cited or ".. [" in text:
        return
    listed = re.split(r"^(?=\.\. \[\d+\])", inspect.getdoc(inspect.getmodule(obj)), flags=re.MULTILINE)[1:]
    chosen = [entry.rstrip() for entry in listed if re.match(r"\.\. \[(\d+)\]", entry)[1] in cited]
    lines += ["", "References", "----------", *"\n".join(chosen).splitlines(), ""]


def setup(app):
    app.connect("autodoc-process-docstring", add_cited_references, priority=100)  # before numpydoc reads the sections
