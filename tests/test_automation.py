import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from filelock import FileLock
from tiny_notebooks import quiet, write_notebook

from course_utils.automation import pool
from course_utils.automation.run import run_notebooks

SAVE_ENVIRONMENT = """\
import json, os
wanted = ("HF_HUB_OFFLINE", "OMP_NUM_THREADS", "IPYTHONDIR")
found = {name: os.environ[name] for name in wanted} | {"cwd": os.getcwd()}
json.dump([profile, seed, temperature, found], open("seen.json", "w"))"""
RECORD = "from course_utils.automation.results import record\nrecord(score=temperature * 10)"
START_CHILD = """\
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child.pid", "w").write(str(child.pid))"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


# --- one run of notebooks that end in every way there is ---


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two at once: one that passes, and one for each way to fail."""
    base = tmp_path_factory.mktemp("course {mixed}")
    folder = base / "notebooks"
    # The slow ones come first, so that the others run beside them.
    write_notebook(folder, "00_slow", START_CHILD, *["import time; time.sleep(1)"] * 60)
    write_notebook(folder, "01_endless_cell", "while True:\n    pass")
    write_notebook(folder, "02_good", SAVE_ENVIRONMENT, RECORD, "# raises\n1 / 0", "'end'")
    write_notebook(folder, "03_broken", "x = '<b>'\n\nx[7]", "open('never', 'w')")
    write_notebook(folder, "04_exits", "import sys\nsys.exit()", "open('never', 'w')")
    write_notebook(folder, "05_dies", "import os\nos.kill(os.getpid(), 9)", parameters="")
    console = quiet()
    environment = {k: v for k, v in os.environ.items() if "THREADS" not in k and "HUB" not in k}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        report = run_notebooks(
            notebooks_dir=folder,
            parameters={"temperature": "1", "seed": 5},
            jobs=2,
            timeout=20,
            cell_timeout=7,
            out=base / "out",
            console=console,
        )
    runs = {run.name: run for run in report.notebooks}
    return report, runs, folder, base / "out", console.file.getvalue()


def test_no_name_runs_all_in_reading_order_and_one_failure_stops_no_other(mixed):
    report, *_ = mixed
    assert [(run.name, run.status) for run in report.notebooks] == [
        ("00_slow", "timeout"),
        ("01_endless_cell", "timeout"),
        ("02_good", "passed"),
        ("03_broken", "failed"),
        ("04_exits", "failed"),
        ("05_dies", "failed"),
    ]
    assert not report.ok


def test_a_failing_cell_is_named_with_its_error_and_what_follows_does_not_run(mixed):
    _, runs, folder, _, shown = mixed
    message = "03_broken, cell 3 (step-1), `x = '<b>'`: IndexError: string index out of range"
    assert runs["03_broken"].message == message
    assert message in shown
    error = runs["03_broken"].error
    assert (error.ename, error.evalue) == ("IndexError", "string index out of range")
    assert error.source == "x = '<b>'\n\nx[7]"
    assert "x[7]" in error.traceback
    assert "\x1b" not in error.traceback
    assert not (folder / "never").exists()


def test_sys_exit_is_a_failure_and_not_a_short_success(mixed):
    _, runs, *_ = mixed
    assert runs["04_exits"].message == "04_exits, cell 3 (step-1), `import sys`: SystemExit"


def test_a_kernel_that_dies_is_told_with_its_cell(mixed):
    _, runs, *_ = mixed
    assert runs["05_dies"].message == (
        "05_dies, cell 2 (step-1), `import os`: the kernel died (out of memory, perhaps)"
    )


def test_a_notebook_over_its_time_is_stopped_with_all_that_it_started(mixed):
    _, runs, folder, *_ = mixed
    run = runs["00_slow"]
    assert run.error.reason == "time limit of 20 s reached"
    assert run.error.first_line == "import time; time.sleep(1)"
    assert run.error.id.startswith("step-")
    assert 20 <= run.seconds < 25
    assert gone_soon(int((folder / "child.pid").read_text()))


def test_a_cell_over_its_time_is_stopped_and_named(mixed):
    _, runs, *_ = mixed
    run = runs["01_endless_cell"]
    assert run.message == (
        "01_endless_cell, cell 3 (step-1), `while True:`: cell limit of 7 s reached"
    )
    assert run.timings[-1].failed
    assert 7 <= run.timings[-1].seconds < 12


def test_timings_name_each_cell_of_the_source_notebook_and_add_up(mixed):
    _, runs, *_ = mixed
    good = runs["02_good"]
    assert [(t.cell, t.id, t.first_line) for t in good.timings] == [
        (2, "parameters", 'profile: str = "fast"'),
        (3, "step-1", "import json, os"),
        (4, "step-2", "from course_utils.automation.results import record"),
        (5, "step-3", "# raises"),
        (6, "step-4", "'end'"),
    ]
    assert 0 < sum(t.seconds for t in good.timings) < good.seconds
    assert good.cells == len(good.timings)
    slow = runs["00_slow"].timings
    assert all(
        1 <= t.seconds < 3 for t in slow if t.first_line.startswith("import time") and not t.failed
    )


def test_parameters_reach_the_notebook_as_their_types_and_its_results_come_back(mixed):
    _, runs, folder, *_ = mixed
    profile, seed, temperature, _ = json.loads((folder / "seen.json").read_text())
    assert (profile, seed, temperature, type(temperature)) == ("fast", 5, 1.0, float)
    assert runs["02_good"].parameters == {"profile": "fast", "seed": 5, "temperature": 1.0}
    assert runs["02_good"].results == {"score": 10.0}
    assert runs["05_dies"].parameters == {}


def test_a_notebook_runs_in_its_folder_offline_with_its_share_of_the_cores(mixed):
    _, _, folder, *_ = mixed
    *_, found = json.loads((folder / "seen.json").read_text())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert found["cwd"] == str(folder)
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["OMP_NUM_THREADS"] == str(max(1, cores // 2))
    assert not Path(found["IPYTHONDIR"]).exists()


def test_every_file_the_report_points_to_is_there_and_nothing_half_done(mixed):
    report, _, _, out, _ = mixed
    names = [run.name for run in report.notebooks]
    written = sorted(path.name for path in (out / "notebooks").iterdir())
    assert written == sorted(f"{name}.{ending}" for name in names for ending in ("html", "ipynb"))
    html = (out / "report.html").read_text()
    assert all(f'href="notebooks/{name}.html"' in html for name in names)
    assert 'href="notebooks/03_broken.html#cell-id=step-1"' in html
    assert 'id="cell-id=step-1"' in (out / "notebooks/03_broken.html").read_text()
    assert json.loads((out / "report.json").read_text())["ok"] is False


def test_a_cell_that_raises_on_purpose_is_no_failure_and_leaves_no_marks(mixed):
    *_, out, _ = mixed
    executed = nbformat.read(out / "notebooks/02_good.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == "'end'"
    assert executed.cells[-2].outputs[0].ename == "ZeroDivisionError"
    broken = nbformat.read(out / "notebooks/03_broken.ipynb", as_version=4)
    for notebook in (executed, broken):
        assert [cell.id for cell in notebook.cells[:2]] == ["title", "parameters"]


def test_without_a_terminal_the_run_is_told_line_by_line(mixed):
    *_, shown = mixed
    assert "02_good: started, 5 cells\n" in shown
    assert "02_good: passed in " in shown
    assert "03_broken: FAILED in " in shown
    assert "\x1b" not in shown


def test_as_many_notebooks_run_at_once_as_asked(mixed):
    *_, shown = mixed
    running, most = 0, 0
    for line in shown.partition("\n\n")[0].splitlines():
        running += ": started" in line
        running -= any(end in line for end in (": passed in", ": FAILED in", ": TIMED OUT in"))
        most = max(most, running)
    assert (running, most) == (0, 2)


# --- a sweep, and going on with it ---


def test_a_sweep_runs_the_grid_and_resumes_where_it_stopped(tmp_path, monkeypatch):
    path = write_notebook(tmp_path / "nb", "04_sweep", RECORD)
    settings = {"jobs": 2, "timeout": 60, "out": tmp_path / "out", "resume": True}
    settings |= {"notebooks_dir": tmp_path / "nb", "console": quiet()}

    def sweep(*values):
        return run_notebooks(["4"], sweep={"temperature": values}, **settings)

    first = sweep("0.2", "0.7", "0.20")
    assert first.ok
    assert [(run.parameters["temperature"], run.reused) for run in first.notebooks] == [
        (0.2, False),
        (0.7, False),
    ]
    again = sweep("0.2", "1.3", "0.7")
    assert [run.reused for run in again.notebooks] == [True, False, True]
    assert [row["results"] for row in again.sweep["rows"]] == [
        {"score": 2.0},
        {"score": 13.0},
        {"score": 7.0},
    ]
    header, *lines = (tmp_path / "out/sweep.csv").read_text().splitlines()
    assert header == "temperature,score,notebook_status,notebook_seconds"
    assert [line.split(",")[:3] for line in lines] == [
        ["0.2", "2.0", "passed"],
        ["1.3", "13.0", "passed"],
        ["0.7", "7.0", "passed"],
    ]
    assert (tmp_path / "out/sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (tmp_path / "out/report.html").read_text()

    path.write_text(path.read_text().replace("* 10", "* 100"))  # another source: all of it again
    asked = []

    def only_note(jobs, **_):
        asked.extend(job.parameters["temperature"] for job in jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr("course_utils.automation.run.execute", only_note)
    with pytest.raises(KeyboardInterrupt):
        sweep("0.2", "1.3")
    assert asked == [0.2, 1.3]


# --- being stopped ---


def test_when_the_run_is_killed_nothing_it_started_lives_on(tmp_path):
    waiting = "\nimport time; time.sleep(600)"
    write_notebook(tmp_path / "nb", "00_waits", START_CHILD + waiting)
    code = (
        "from course_utils.automation.run import run_notebooks\n"
        f"run_notebooks(notebooks_dir={str(tmp_path / 'nb')!r}, out={str(tmp_path / 'out')!r})"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        mark = tmp_path / "nb/child.pid"
        deadline = time.monotonic() + 40
        while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        started = psutil.Process(run.pid).children(recursive=True)
        assert int(mark.read_text()) in [process.pid for process in started]
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert all(gone_soon(process.pid) for process in started)


def test_an_interrupt_stops_what_runs_and_frees_the_folder(tmp_path, monkeypatch):
    write_notebook(tmp_path / "nb", "00_waits", "import time; time.sleep(600)")
    stopped = []

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_take_one", interrupt)
    stop = pool._Worker.stop
    monkeypatch.setattr(
        pool._Worker, "stop", lambda self, why: (stop(self, why), stopped.append(self.process.pid))
    )
    console = quiet()
    with pytest.raises(KeyboardInterrupt):
        run_notebooks(notebooks_dir=tmp_path / "nb", out=tmp_path / "out", console=console)
    assert "add --resume to go on" in console.file.getvalue()
    assert [alive(pid) for pid in stopped] == [False]
    FileLock(tmp_path / "out/.lock").acquire(timeout=0)


# --- what the engine brings along ---


def test_what_the_user_set_in_the_environment_stays(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = pool._environment(2, "/scratch")
    assert (environment["HF_HUB_OFFLINE"], environment["OMP_NUM_THREADS"]) == ("0", "7")


def test_importing_the_engine_loads_no_heavy_library():
    code = "import sys, course_utils.automation.run; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"papermill", "nbformat", "nbconvert", "matplotlib", "torch", "jinja2", "rich"}
    assert not heavy & set(loaded.stdout.split())
