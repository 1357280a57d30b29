"""Configuration of the documentation."""

import inspect
import os
import re

import matplotlib as mpl
from docutils import nodes
from latex2mathml.converter import convert

import skdim
from skdim._versions import DOCUMENTATION

mpl.use("Agg")

project = "skdim"
copyright = "2026, skdim developers"
author = "skdim developers"
version = release = skdim.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "conda", "examples/*.rst"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"

# The second place is an inventory without names: without a network the names of other packages are text, and no warning.
intersphinx_mapping = {
    name: (url, (None, "no_names.inv"))
    for name, url in {
        "python": "https://docs.python.org/3",
        "numpy": "https://numpy.org/doc/stable",
        "sklearn": "https://scikit-learn.org/stable",
        "torch": "https://docs.pytorch.org/docs/stable",
        "matplotlib": "https://matplotlib.org/stable",
        "joblib": "https://joblib.readthedocs.io/en/stable",
    }.items()
}
intersphinx_timeout = 5

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "doc_module": ("skdim",),
    "backreferences_dir": "generated/backreferences",
    "thumbnail_size": (400, 280),
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,  # its page would load scripts from the network
}

html_theme = "pydata_sphinx_theme"
html_title = "skdim"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["skdim.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "logo": {"text": "skdim", "image_light": "_static/favicon.svg", "image_dark": "_static/favicon.svg"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_end": ["version-switcher", "theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    # Every version reads the list of the latest, so that old pages know new ones.
    "switcher": {
        "json_url": f"{DOCUMENTATION}/_static/switcher.json",
        "version_match": os.environ.get("READTHEDOCS_VERSION", "latest"),
    },
    "check_switcher": False,  # it would need a network
}
html_sidebars = {"index": [], "changelog": []}


def add_cited_references(app, what, name, obj, options, lines):
    """Give a docstring that cites ``[1]_`` the entry of its module's own list of references."""
    text = "\n".join(lines)
    cited = set(re.findall(r"\[(\d+)\]_", text))
    if not cited or ".. [" in text:
        return
    listed = re.split(r"^(?=\.\. \[\d+\])", inspect.getdoc(inspect.getmodule(obj)), flags=re.MULTILINE)[1:]
    chosen = [entry.rstrip() for entry in listed if re.match(r"\.\. \[(\d+)\]", entry)[1] in cited]
    lines += ["", "References", "----------", *"\n".join(chosen).splitlines(), ""]


def write_formula(translator, node):
    """Write a formula as MathML, which browsers draw without a script or a network."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    # Between the name of a function and what follows, browsers leave no room.
    room = r'\1<mspace width="0.17em"/>'
    translator.body.append(re.sub(r"(<mi>[a-z]{2,}</mi>)(?!<mo)", room, convert(node.astext(), display=display)))
    raise nodes.SkipNode


def setup(app):
    app.connect("autodoc-process-docstring", add_cited_references, priority=100)  # before numpydoc reads the sections
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))


html_math_renderer = "mathml"
