import json
from dataclasses import asdict, replace
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from rich.console import Console

from course_utils.automation import files, results, resume, sweep
from course_utils.automation.pages import WIDGET_VIEW, write_page
from course_utils.automation.progress import make_progress
from course_utils.automation.report import seconds_in_words, write_report
from course_utils.automation.runs import CellRun, NotebookRun, RunError, RunReport
from course_utils.automation.summary import print_summary
from course_utils.automation.worker import Job
from course_utils.errors import CourseError

NASTY = "</pre><script>alert('[red]&')</script>"


class Page(HTMLParser):
    """Collects what an HTML page loads and the text it shows."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.loads, self.shown = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        target = dict(attrs).get("src") or dict(attrs).get("href")
        if target:
            (self.links if tag == "a" else self.loads).append(target)

    def handle_data(self, data):
        self.shown += data


def passed_run(name="00_good", **fields):
    timings = [CellRun(2, "parameters", "profile", 0.1), CellRun(3, "work", NASTY, 2.0)]
    return NotebookRun(
        name,
        f"/nb/{name}.ipynb",
        {"seed": 1},
        "passed",
        3.0,
        2,
        timings,
        output=f"notebooks/{name}.ipynb",
        page=f"notebooks/{name}.html",
        **fields,
    )


def failed_run():
    error = RunError(f"ValueError: {NASTY}", "ValueError", NASTY, 3, "work", NASTY, NASTY, NASTY)
    return replace(passed_run("01 [odd] #name"), status="failed", error=error)


def report_of(*runs, **fields):
    return RunReport("fast", "2030-01-02T03:04:05+00:00", 2, 600.0, None, {}, list(runs), **fields)


def test_report_json_has_the_documented_keys_and_reads_back(tmp_path):
    report = report_of(passed_run(results={"rouge1": 27.5, "loss": None}), failed_run())
    write_report(report, tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert set(written) == {
        *("schema", "ok", "started", "seconds", "profile", "jobs", "timeout", "cell_timeout"),
        *("environment", "notebooks", "sweep"),
    }
    assert (written["schema"], written["ok"]) == (1, False)
    assert [NotebookRun.from_dict(run) for run in written["notebooks"]] == report.notebooks


def test_report_html_escapes_everything_and_loads_nothing(tmp_path):
    write_report(report_of(passed_run(), failed_run()), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "script" not in page.tags
    assert page.loads == []
    assert f"ValueError: {NASTY}" in page.shown
    assert "1 of 2 did not pass" in page.shown
    assert page.links == [
        "notebooks/00_good.html",
        "notebooks/00_good.ipynb",
        "notebooks/01%20%5Bodd%5D%20%23name.html",
        "notebooks/01%20%5Bodd%5D%20%23name.html#cell-id=work",
        "notebooks/01%20%5Bodd%5D%20%23name.ipynb",
        "report.json",
    ]


def test_report_html_draws_a_segment_for_each_cell_and_marks_the_broken_one(tmp_path):
    run = failed_run()
    run.timings[1] = replace(run.timings[1], failed=True)
    write_report(report_of(run), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert 'class="broken" style="flex-grow: 2.0"' in html
    assert html.count("flex-grow") == 3  # two cells, and the kernel's start and stop


def test_the_terminal_summary_shows_errors_as_they_are_and_where_the_report_is(tmp_path):
    console = Console(file=StringIO(), width=200)
    print_summary(console, report_of(passed_run(), failed_run()), tmp_path)
    shown = console.file.getvalue()
    assert f"01 [odd] #name, cell 3 (work), `{NASTY}`: ValueError: {NASTY}" in shown
    assert f"1 of 2 passed in 0.0 s. Report: {tmp_path}/report.html" in shown


def test_a_terminal_sees_a_bar_move_and_a_log_gets_plain_lines():
    job = Job("03_[x]", "/nb/03.ipynb", {}, "", cells=7)
    terminal = Console(file=StringIO(), force_terminal=True, width=120)
    with make_progress(terminal) as progress:
        progress.started(job)
        progress.advanced(job, 3, 1.0)
        progress.bars.refresh()
        progress.finished(passed_run("03_[x]"))
    assert "cell 3 of 7" in terminal.file.getvalue()
    log = Console(file=StringIO(), width=120)
    with make_progress(log) as progress:
        progress.started(job)
        progress.advanced(job, 3, 1.0)
        progress.finished(passed_run("03_[x]"))
    assert log.file.getvalue() == "03_[x]: started, 7 cells\n03_[x]: passed in 3.0 s\n"


def test_a_log_gets_a_sign_of_life_from_a_long_notebook(monkeypatch):
    monkeypatch.setattr("course_utils.automation.progress.QUIET_SECONDS", 0)
    log = Console(file=StringIO(), width=120)
    progress = make_progress(log)
    progress.started(job := Job("03", "/nb/03.ipynb", {}, "", cells=7))
    progress.advanced(job, 3, 95.2)
    assert "03: cell 3 of 7 done, 95 s" in log.file.getvalue()


def test_durations_read_as_people_say_them():
    said = [seconds_in_words(seconds) for seconds in (0.04, 9.96, 48.2, 200, 3600)]
    assert said == ["0.0 s", "10.0 s", "48 s", "3 min 20 s", "60 min 0 s"]


def test_a_page_of_a_notebook_loads_nothing_and_shows_what_a_widget_falls_back_to(tmp_path):
    live = {"model_id": "x", "version_major": 2, "version_minor": 0}
    outputs = [
        new_output("display_data", {WIDGET_VIEW: live, "text/plain": "IntSlider(value=0)"}),
        new_output("display_data", {WIDGET_VIEW: live, "text/html": "<b>the picture</b>"}),
        new_output("stream", name="stdout", text="printed"),
    ]
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Title\nEuler: $e^{i\\pi} = -1$"),
            new_code_cell("1", outputs=outputs),
        ],
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}},
    )
    write_page(notebook, tmp_path / "x.html")
    html = (tmp_path / "x.html").read_text()
    page = Page(html)
    assert page.loads == []
    assert not any(host in html for host in ("cdnjs", "unpkg", "mathjax", "require.min"))
    assert "widget-state" not in html  # megabytes that nothing here could draw
    assert "the picture" in page.shown
    assert "An interactive widget: open the notebook to use it." in page.shown
    assert "IntSlider" not in page.shown
    assert "$e^{i\\pi} = -1$" in page.shown
    assert WIDGET_VIEW in notebook.cells[1].outputs[0].data  # the notebook itself keeps it


def recorded(**values):
    """What `record` would leave in a notebook."""
    return new_code_cell(
        outputs=[new_output("display_data", {results.MEDIA_TYPE: results.plain(values)})]
    )


def test_results_are_merged_over_the_cells_the_last_of_a_name_counts():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("text"),
            recorded(a=1, b=np.float32(0.5)),
            recorded(c=torch.tensor(2), b=np.array([3.0]), d=float("nan"), e="word", f=True),
        ]
    )
    found = results.read_results(notebook)
    assert found == {"a": 1, "b": 3.0, "c": 2, "d": None, "e": "word", "f": True}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(2), np.zeros(3), {"a": 1}, object()])
def test_only_one_value_can_be_recorded_under_a_name(value):
    with pytest.raises(ValueError, match=r"scores is a .*: record one number"):
        results.record(scores=value)


GRID = {"temperature": [0.2, 1.3], "mode": ["a", "b"]}


def sweep_rows(*scores):
    runs = [
        NotebookRun(str(n), "x", {"seed": 0, **values}, "passed", 1.5, results=dict(score))
        for n, (values, score) in enumerate(zip(sweep.combinations(GRID), scores, strict=True))
    ]
    return sweep.rows_of(GRID, runs)


def test_a_sweeps_table_has_a_row_for_each_combination():
    rows = sweep_rows({"label": "x", "rouge1": 1.0}, {"rouge1": 2.0}, {}, {"rouge1": None})
    names = sweep.result_names(GRID, rows)
    assert names == ["rouge1", "label"]  # the one with numbers first
    assert sweep.table(GRID, names, rows) == (
        "temperature,mode,rouge1,label,notebook_status,notebook_seconds\n"
        "0.2,a,1.0,x,passed,1.5\n"
        "0.2,b,2.0,,passed,1.5\n"
        "1.3,a,,,passed,1.5\n"
        "1.3,b,,,passed,1.5\n"
    )


def test_a_sweeps_figure_has_a_line_for_each_other_combination(monkeypatch):
    from matplotlib.axes import Axes

    lines, plot = [], Axes.plot

    def spy(axes, x, y, *style, label, **options):
        lines.append((label, x, y))
        return plot(axes, x, y, *style, label=label, **options)

    monkeypatch.setattr(Axes, "plot", spy)
    png, alt = sweep.figure(GRID, "s", sweep_rows({"s": 1}, {"s": 2}, {"s": 3}, {}))
    assert png.startswith(b"\x89PNG")
    assert lines == [("mode = a", (0.2, 1.3), (1, 3)), ("mode = b", (0.2,), (2,))]
    assert alt == (
        "Line chart of s over temperature, mode. s is highest, 3, at temperature = 1.3, "
        "mode = a; it is lowest, 1, at temperature = 0.2, mode = a."
    )


def test_a_sweep_over_words_is_drawn_side_by_side_and_one_without_numbers_not_at_all():
    grid = {"mode": ["a", "b"]}
    runs = [NotebookRun(m, "x", {"mode": m}, results={"s": 1.0}) for m in "ab"]
    png, alt = sweep.figure(grid, "s", sweep.rows_of(grid, runs))
    assert png.startswith(b"\x89PNG")
    assert alt.endswith("It is 1 everywhere.")
    assert sweep.figure(grid, "other", sweep.rows_of(grid, runs)) is None


def test_the_report_embeds_the_sweeps_figure_and_table(tmp_path):
    (tmp_path / "sweep.png").write_bytes(b"\x89PNG")
    rows = sweep_rows({"s": 1.23456}, {"s": 2.0}, {}, {})
    content = {"parameters": GRID, "results": ["s"], "rows": rows, "table": "sweep.csv"}
    write_report(
        report_of(passed_run(), sweep={**content, "figure": "sweep.png", "alt": NASTY}), tmp_path
    )
    page = Page((tmp_path / "report.html").read_text())
    assert page.loads == ["data:image/png;base64,iVBORw=="]
    assert "script" not in page.tags
    assert "1.235" in page.shown
    assert "sweep.csv" in page.links


def test_the_words_after_sweep_are_told_from_notebook_names():
    names, found = sweep.split_sweep(["04", "top_p=0.8, 0.95"], ["temperature=0.2,0.7"])
    assert names == ["04"]
    assert found == {"temperature": ["0.2", "0.7"], "top_p": ["0.8", "0.95"]}
    assert sweep.split_sweep(["a=b.ipynb"], []) == (["a=b.ipynb"], {})


@pytest.mark.parametrize("word", ["temperature", "=1", "temperature=", "t=1,,2", "a b=1"])
def test_a_sweep_that_cannot_be_read_shows_how_to_write_it(word):
    with pytest.raises(CourseError, match="NAME=V1,V2"):
        sweep.split_sweep([], [word])


def test_names_of_a_sweeps_files_are_safe_and_differ():
    assert sweep.run_name("04_x", {"t": 0.2, "p": 1}) == "04_x--t=0.2--p=1"
    one, other = (sweep.run_name("04_x", {"model": name}) for name in ("a/b", "a:b"))
    assert one != other
    assert "/" not in one
    assert len(sweep.run_name("04_x", {"text": "word" * 100})) < 140


def test_a_fingerprint_follows_all_that_decides_a_run_and_nothing_else(monkeypatch):
    cell = new_code_cell("x = 1", id="one")
    notebook = new_notebook(cells=[cell])
    base = resume.fingerprint(notebook, {"seed": 0}, "fast")
    output = new_output("stream", text="1")
    ran = new_notebook(cells=[new_code_cell("x = 1", id="two", outputs=[output])])
    assert resume.fingerprint(ran, {"seed": 0}, "fast") == base
    changed = new_notebook(cells=[new_code_cell("x = 2")])
    others = [
        resume.fingerprint(changed, {"seed": 0}, "fast"),
        resume.fingerprint(notebook, {"seed": 1}, "fast"),
        resume.fingerprint(notebook, {"seed": 0}, "full"),
    ]
    monkeypatch.setattr(resume, "_own_source", lambda: "edited")
    others.append(resume.fingerprint(notebook, {"seed": 0}, "fast"))
    assert base not in others
    assert len(set(others)) == 4


def test_the_state_keeps_what_passed_and_survives_damage(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for ending in ("ipynb", "html"):
        (tmp_path / f"notebooks/00_good.{ending}").touch()
    run = passed_run(results={"a": 1})
    resume.State(tmp_path).remember(run, "digest")
    found = resume.State(tmp_path).passed("00_good", "digest")
    assert asdict(found) == asdict(run) | {"reused": True}
    assert resume.State(tmp_path).passed("00_good", "another") is None
    (tmp_path / "notebooks/00_good.ipynb").unlink()
    assert resume.State(tmp_path).passed("00_good", "digest") is None
    (tmp_path / resume.STATE_FILE).write_text('{"passed": ')
    assert resume.State(tmp_path).runs == {}


def test_a_run_that_fails_is_struck_from_the_state(tmp_path):
    state = resume.State(tmp_path)
    state.remember(passed_run(), "digest")
    state.remember(replace(passed_run(), status="failed"), "digest")
    assert resume.State(tmp_path).runs == {}


def test_a_full_disk_is_a_sentence_and_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("course_utils.whole_files.os.replace", full)
    with pytest.raises(CourseError, match=r"cannot be written \(No space left on device\)"):
        files.write_out(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_shows_of_a_progress_bar_only_what_is_left_of_it(tmp_path):
    import nbformat.v4 as v4

    from course_utils.automation.pages import write_page

    pieces = ["\rWorking:  10%", "\rWorking: 100%\nkept\n", "\r             ", "\rthe answer\n"]
    outputs = [v4.new_output("stream", name="stdout", text=text) for text in pieces]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("work()", outputs=outputs)])
    write_page(notebook, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "the answer" in page
    assert "kept" in page
    assert "Working:  10" not in page
