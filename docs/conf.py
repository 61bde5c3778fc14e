"""The website: `make site` builds it. Nothing in it is loaded from another host."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "An open course on large language models"
author = "the authors of the course"
copyright = "the authors of the course: code Apache-2.0, texts and dialogues CC BY 4.0"
language = "en"

extensions = ["staging", "page_links", "mathml", "myst_nb"]
exclude_patterns = ["README.md"]  # it is the text of the first page

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

nb_execution_mode = "off"

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_favicon = "_static/favicon.svg"
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "footer_content_items": ["copyright.html"],
    "navbar_persistent": [],  # the sidebar has the search field
    "show_toc_level": 2,
    "use_fullscreen_button": False,
}
html_context = {"default_mode": "auto"}
