"""The website: every page is there and within reach, and nothing comes from another host."""

import copy
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
from browser.widget_page import ARGUMENTS, CHROMIUM

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "a widget"}
LOADED = {"src", "srcset", "poster", "data", "background"}  # attributes that a browser fetches


class Page(HTMLParser):
    """What one HTML page shows, links to and loads."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.html = path, path.read_text(encoding="utf-8")
        self.links, self.loads, self.ids, self.unnamed = [], [], set(), []
        self.title, self.language, self._within = "", None, ""
        self.feed(self.html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._within = tag
        self.ids |= {given.get("id"), given.get("name")}
        self.language = given.get("lang", self.language) if tag == "html" else self.language
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") not in ("next", "prev", "index", "search"):
            self.loads.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.unnamed.append(given.get("src", "")[:80])
        self.loads += [value for name, value in attributes if name in LOADED]
        self.loads += loaded_by_css(given.get("style") or "")

    def handle_data(self, data):
        if self._within == "title":
            self.title += data
        if self._within == "style":
            self.loads += loaded_by_css(data)

    def handle_endtag(self, tag):
        self._within = ""


def loaded_by_css(css):
    """Return the addresses that a style sheet loads."""
    found = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", css)
    return [address.strip() for pair in found for address in pair if address]


def build(folder, run):
    """Build the website as `make site` does."""
    (folder / "source").mkdir()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs"]
    command += ["-d", folder / "doctrees", folder / "source", folder / "site"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "SITE_NOTEBOOKS": str(run), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def write_run(folder):
    """Write a run of three notebooks: one that passed, one that failed, one of an older text."""
    (folder / "notebooks").mkdir()
    outcomes = {"00_start_here": "passed", "01_transformers": "failed", "03_prompting": "passed"}
    for name in outcomes:
        notebook = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
        notebook.metadata["papermill"] = {"start_time": "2026-11-02T10:00:00+00:00"}
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if name == "03_prompting":
            code[-1].source += "\n# as it was last week"
        code[1].outputs = [
            nbformat.v4.new_output("stream", text=f"printed by {name}\n"),
            nbformat.v4.new_output(
                "display_data",
                data={**WIDGET, "image/png": PIXEL},
                metadata={"image/png": {"alt": "the picture of a widget"}},
            ),
            nbformat.v4.new_output("display_data", data={"application/javascript": "quiz()"}),
            nbformat.v4.new_output(
                "display_data",
                data={"application/vnd.course.result+json": {"r": 1}, "text/plain": "recorded"},
            ),
        ]
        injected = copy.deepcopy(code[0])
        injected.update(id="injected", source="injected = 1")
        injected.metadata["tags"] = ["injected-parameters"]
        notebook.cells.insert(notebook.cells.index(code[0]) + 1, injected)
        nbformat.write(notebook, folder / f"notebooks/{name}.ipynb")
    runs = [
        {
            "name": name,
            "status": status,
            "output": f"notebooks/{name}.ipynb",
            "parameters": {"profile": "full", "seed": 7},
        }
        for name, status in outcomes.items()
    ]
    report = {"started": "2026-11-02T10:00:00", "environment": {"torch": "1.0"}, "notebooks": runs}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the website and what its build said."""
    folder = tmp_path_factory.mktemp("website")
    (folder / "run").mkdir()
    return folder / "site", build(folder, write_run(folder / "run"))


@pytest.fixture(scope="module")
def pages(built):
    """{address below the website's folder: page}."""
    site, _ = built
    found = {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}
    return {name: page for name, page in found.items() if not name.startswith("_static/")}


def beside(page, address):
    """Return the file that an address on a page names."""
    return (page.path.parent / unquote(urlsplit(address).path)).resolve()


def test_the_website_builds_without_a_warning(built):
    _, result = built
    assert (result.returncode, result.stderr) == (0, "")


def test_every_notebook_lab_and_document_is_within_reach_of_the_first_page(built, pages):
    site, _ = built
    reached, waiting = set(), ["index.html"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for link in pages[name].links:
            if urlsplit(link).scheme or not urldefrag(link).url:
                continue
            target = beside(pages[name], link).relative_to(site.resolve()).as_posix()
            waiting += [target] if target in pages else []
    labs = [path.parent.name for path in ROOT.glob("labs/release/*/*.ipynb")]
    wanted = {f"notebooks/{name}.html" for name in NOTEBOOKS}
    wanted |= {f"labs/release/{lab}/{lab}.html" for lab in labs}
    wanted |= {"docs/datasheet.html", "CHANGELOG.html", "CONTRIBUTING.html"}
    assert wanted - reached == set()


def test_the_first_page_leads_to_the_first_notebook(pages):
    button = r'<a class="button reference internal" href="notebooks/(.*?).html"'
    assert re.findall(button, pages["index.html"].html) == NOTEBOOKS[:1]


def test_the_sidebar_lists_the_notebooks_in_order(pages):
    entry = r'<li class="toctree-l1"><a class="reference internal" href="notebooks/(.*?).html"'
    assert re.findall(entry, pages["index.html"].html) == NOTEBOOKS


def test_a_notebook_named_in_a_text_is_a_link_to_its_page(pages):
    assert re.search(r'href="00_start_here.html"><code', pages["notebooks/03_prompting.html"].html)


def test_no_page_or_style_sheet_names_a_resource_on_another_host(built, pages):
    site, _ = built
    loads = {name: page.loads for name, page in pages.items()}
    loads |= {
        sheet.relative_to(site).as_posix(): loaded_by_css(sheet.read_text(encoding="utf-8"))
        for sheet in site.rglob("*.css")
    }
    foreign = [
        (name, address)
        for name, addresses in loads.items()
        for address in addresses
        if address.startswith("//") or urlsplit(address).scheme not in ("", "data")
    ]
    assert foreign == []
    assert sum(map(len, loads.values())) > 100


@pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM} (Debian package chromium)"
)
def test_a_browser_that_opens_every_page_asks_no_other_host_and_misses_nothing(built, pages):
    from playwright.sync_api import sync_playwright

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(built[0]))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home, asked, missed = f"http://127.0.0.1:{server.server_port}/", set(), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.on(
            "response", lambda answer: missed.append(answer.url) if answer.status >= 400 else None
        )
        for name in pages:
            page.goto(home + name, wait_until="load")
        browser.close()
    server.shutdown()
    assert len(asked) > len(pages)
    assert [url for url in asked if not url.startswith((home, "data:", "blob:"))] == []
    assert missed == []


def test_every_internal_link_leads_somewhere(pages):
    broken = []
    for name, page in pages.items():
        for link in page.links + page.loads:
            address, anchor = urldefrag(link)
            if urlsplit(address).scheme or link == "#":
                continue
            target = beside(page, address) if address else page.path
            there = pages.get(name) if not address else None
            there = there or next((p for p in pages.values() if p.path.resolve() == target), None)
            if not target.is_file() or (anchor and there and unquote(anchor) not in there.ids):
                broken.append((name, link))
    assert broken == []


def test_every_page_has_a_title_a_language_and_words_for_its_pictures(pages):
    for name, page in pages.items():
        assert page.title.strip(), name
        assert page.language == "en", name
        assert page.unnamed == [], name


def test_a_page_shows_the_outputs_of_a_run_that_passed_with_the_text_it_has_now(pages):
    html = pages["notebooks/00_start_here.html"].html
    assert "printed by 00_start_here" in html
    assert "Outputs: a run of 2 November 2026, full profile, " in html
    assert "seed = 7" in re.sub("<[^>]+>", "", html)
    assert 'alt="the picture of a widget"' in html
    assert "quiz()" in html
    assert "injected = 1" not in html
    assert "jupyter.widget" not in html


@pytest.mark.parametrize("name", ["01_transformers", "03_prompting"])
def test_a_page_shows_no_outputs_of_a_run_that_failed_or_of_an_older_text(pages, name):
    html = pages[f"notebooks/{name}.html"].html
    assert "printed by" not in html
    assert "Shown without outputs" in html


def test_the_build_says_whose_outputs_each_page_shows(built):
    lines = built[1].stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == NOTEBOOKS
    assert re.fullmatch(r"00_start_here: outputs: of .*run, 2 November 2026", lines[0])
    assert lines[1] == "01_transformers: outputs: none"


def test_a_folder_that_is_no_run_is_named_with_the_remedy(tmp_path):
    result = build(tmp_path, tmp_path / "nowhere")
    assert result.returncode != 0
    assert result.stderr.startswith("SITE_NOTEBOOKS=")
    assert "course run --out FOLDER" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def formulas(tmp_path_factory):
    """A page of formulas built with the website's own extension, and what the build said."""
    folder = tmp_path_factory.mktemp("formulas")
    conf = f"import sys\nsys.path.insert(0, {str(ROOT / 'docs/_extensions')!r})\n"
    conf += 'extensions = ["mathml", "myst_parser"]\nhtml_math_renderer = "mathml"\n'
    conf += 'myst_enable_extensions = ["dollarmath"]\nhtml_theme = "basic"\n'
    (folder / "conf.py").write_text(conf)
    (folder / "index.md").write_text(
        "# Formulas\n\nLet $p_i × 2$ be, and this is $\\nosuchcommand{x}$.\n\n"
        "$$\\frac{e^{z_i/T}}{\\sum_j e^{z_j/T}} \\\\ \\sqrt{d}$$\n"
    )
    command = [sys.executable, "-m", "sphinx", "-q", folder, folder / "out"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return Page(folder / "out" / "index.html"), result.stderr


def test_formulas_are_drawn_without_a_script(formulas):
    page, _ = formulas
    assert page.html.count("<math") == 2
    assert "<mfrac>" in page.html
    assert r"\frac" not in page.html
    assert not any("mathjax" in address.lower() for address in page.loads)


def test_a_formula_that_cannot_be_drawn_is_named(formulas):
    page, warnings = formulas
    assert warnings.count("WARNING") == 1
    assert "index.md:3: WARNING: The formula '\\\\nosuchcommand{x}'" in warnings
    assert "<code>" in page.html
