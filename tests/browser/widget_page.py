"""Show an anywidget in a real browser, its Python side answering as a kernel would."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]

PAGE = """<!doctype html><meta charset="utf-8"><title>widget</title>
<style>%(css)s</style><main id="root"></main>
<script type="module">
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const revive = (state) => Object.fromEntries(Object.entries(state).map(
  ([name, value]) => [name, value && value.base64 !== undefined ? bytes(value.base64) : value]));
const state = revive(%(state)s), handlers = {}, changed = new Set();
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; changed.add(name); },
  on: (names, call) => names.split(" ").forEach((name) => (handlers[name] ??= []).push(call)),
  save_changes: async () => {
    const sent = Object.fromEntries([...changed].map((name) => [name, state[name]]));
    changed.clear();
    const answer = revive(await window.kernel(sent));
    Object.assign(state, answer);
    for (const name of Object.keys(answer)) (handlers["change:" + name] ?? []).forEach((f) => f());
  },
};
const source = new Blob([%(esm)s], { type: "text/javascript" });
const widget = await import(URL.createObjectURL(source));
widget.default.render({ model, el: document.getElementById("root") });
window.model = model;
window.ready = true;
</script>"""


@contextmanager
def shown(widget: Any, names: list[str]) -> Iterator[Any]:
    """Yield a playwright page that shows `widget`; `names` are its synchronized traits."""
    from playwright.sync_api import sync_playwright

    def state(wanted: list[str]) -> dict[str, Any]:
        values = {name: getattr(widget, name) for name in wanted}
        return {name: _plain(value) for name, value in values.items()}

    def kernel(sent: dict[str, Any]) -> dict[str, Any]:
        before = {name: getattr(widget, name) for name in names}
        for name, value in sent.items():
            setattr(widget, name, value)
        return state([name for name in names if getattr(widget, name) != before[name]])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.expose_function("kernel", kernel)
        page.set_content(
            PAGE
            % {
                "css": str(widget._css),
                "state": json.dumps(state(names)).replace("</", "<\\/"),
                "esm": json.dumps(str(widget._esm)).replace("</", "<\\/"),
            }
        )
        page.wait_for_function("window.ready")
        yield page
        browser.close()


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
