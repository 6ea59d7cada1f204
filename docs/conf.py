"""How Sphinx builds the site: `make docs`."""

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated_pages  # noqa: E402  (lies beside this file)

project = "Scaling simulator"
author = "The scaling-simulator authors"
project_copyright = author
version = release = version_of("scaling-simulator")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "guide"]
myst_heading_anchors = 3
default_role = "literal"  # docstrings put code between single backticks, as Markdown does
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_attr_annotations = False  # the signature already shows the type
suppress_warnings = ["ref.python"]  # a type's bare name may be that of two classes; then it is no link
python_use_unqualified_type_names = True
maximum_signature_line_length = 90

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "show_prev_next": False,
}


class DrawnDiagrams(SphinxTransform):
    """Shows a page's Mermaid fence as the drawing beside it, which a browser needs no script and no network for."""

    default_priority: ClassVar[int] = 210

    def apply(self, **_: object) -> None:
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid":
                page = Path(self.env.docname).name
                block.replace_self(
                    nodes.image(uri=f"{page}.svg", alt=f"Diagram of the page {page}", candidates={})
                )


def link_tables_as_files(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Lets a page link a Markdown file that lies outside docs/: the site then offers that file itself."""
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)\)", r"](<path:\1>)", source[0])


def setup(app: Sphinx) -> None:
    """Writes the pages that are made of the code itself, then hands over to Sphinx."""
    generated_pages.write(HERE / "_generated")
    app.add_transform(DrawnDiagrams)
    app.connect("source-read", link_tables_as_files)
    # Before Napoleon, which reads the sections of a docstring at priority 500.
    app.connect("autodoc-process-docstring", generated_pages.as_restructured_text, priority=400)
