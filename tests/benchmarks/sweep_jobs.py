"""Seconds of a sweep over notebook 04 with one job and with two, in one run.

python tests/benchmarks/sweep_jobs.py [NOTEBOOK NAME=V1,V2]
"""

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from course_utils.automation.run import run_notebooks
from course_utils.automation.sweep import split_sweep
from course_utils.repository import repository_root


def main(notebook: str = "04_configuration_parameters", grid: str = "temperature=0.7,1.3") -> None:
    """Run the sweep from nothing twice, and print both times and their ratio."""
    _, values = split_sweep([], [grid])
    seconds = {}
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            report = run_notebooks(
                [notebook],
                notebooks_dir=repository_root() / "notebooks",
                sweep=values,
                jobs=jobs,
                out=Path(out),
                console=Console(stderr=True),
            )
            seconds[jobs] = time.perf_counter() - began
        if not report.ok:
            sys.exit("The sweep failed: see above.")
        print(f"{len(report.notebooks)} runs, jobs={jobs}: {seconds[jobs]:.0f} s", flush=True)
    print(f"two jobs against one: {seconds[1] / seconds[2]:.2f} times as fast")


if __name__ == "__main__":
    main(*sys.argv[1:])
