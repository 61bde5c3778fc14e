"""One lock for everybody: pip, conda and CI install the same versions."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_utils.doctor import examine, locked_versions

ROOT = Path(__file__).parents[1]
LOCK = {
    canonicalize_name(name): version
    for name, version in locked_versions(ROOT / "requirements.lock").items()
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]


def test_conda_users_get_the_same_lock_and_the_same_package():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, by_pip = conda["dependencies"]
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert pip == "pip"
    floor = re.fullmatch(r">=(.+)", PROJECT["requires-python"])[1]
    assert Version(python.removeprefix("python=")) >= Version(floor)


def test_make_installs_the_lock_and_nothing_beside_it():
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"^.*\$\(BIN\)/pip install (.*)$", makefile, re.M)
    assert len(installs) == 2
    assert "-r requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation -e ." in installs[1]


def test_every_line_of_the_lock_is_one_exact_pin():
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_]+", line), line


@pytest.mark.parametrize(
    "requirement",
    [*PROJECT["dependencies"], *OPTIONAL["test"], *OPTIONAL["site"]],
    ids=lambda text: Requirement(text).name,
)
def test_the_lock_satisfies_the_package(requirement):
    wanted = Requirement(requirement)
    pin = LOCK.get(canonicalize_name(wanted.name))
    assert pin is not None, f"{wanted.name} is not in requirements.lock: run `make lock`"
    assert Version(pin) in wanted.specifier


def test_ci_calls_the_readmes_own_commands():
    readme = (ROOT / "README.md").read_text()
    assert "make test" in readme
    assert "make course" in readme
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make lint test")
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_the_doctor_finds_this_environment_well():
    unwell = [finding for finding in examine() if not finding.ok]
    assert not unwell


def test_the_doctor_names_a_wrong_version_and_the_remedy(monkeypatch):
    from course_utils import doctor

    real = doctor.metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "0.0.1" if name == "torch" else real(name)
    )
    (finding,) = doctor._packages()
    assert not finding.ok
    assert "torch 0.0.1" in finding.found
    assert "requirements.lock" in finding.remedy


def test_importing_the_package_loads_nothing_heavy():
    import subprocess

    code = "import sys, course_utils, course_utils.model_store, course_utils.prompts; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "datasets", "matplotlib"} & set(loaded)


def test_the_top_level_is_the_house_of_the_design():
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    top = {path.split("/")[0] for path in listed}
    assert top <= {
        ".ci", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
        "LICENSE-text", "Makefile", "README.md", "course_utils", "docs", "environment.yml",
        "labs", "notebooks", "pyproject.toml", "requirements.lock", "tests",
    }  # fmt: skip
