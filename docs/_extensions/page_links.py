"""Make the name of a notebook or a lab, set as code in any text, a link to its page."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class LinkNamesOfPages(SphinxPostTransform):
    """`03_prompting` and `notebooks/03_prompting.ipynb` both lead to the page of that notebook."""

    default_priority = 500

    def run(self, **kwargs: Any) -> None:
        """Wrap each such name, save in headings, in links and on its own page."""
        here = self.env.docname
        pages = {
            PurePosixPath(page).name: page
            for page in self.env.found_docs
            if page.startswith(("notebooks/", "labs/")) and page != here
        }
        for name in list(self.document.findall(nodes.literal)):
            page = pages.get(PurePosixPath(name.astext().removesuffix(".ipynb")).name)
            if page is None or isinstance(name.parent, (nodes.title, nodes.reference)):
                continue
            uri = self.app.builder.get_relative_uri(here, page)
            link = nodes.reference(internal=True, refuri=uri)
            name.replace_self(link)
            link += name


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_post_transform(LinkNamesOfPages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
