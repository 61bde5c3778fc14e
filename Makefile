# The course in two commands: `make course` shows it, `make test` proves it.
.DEFAULT_GOAL := help
.PHONY: help course test lint lab site bench lock

PYTHON ?= python3
BIN := .venv/bin
export JUPYTER_PLATFORM_DIRS := 1

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

course: .venv/installed  ## pull the model, run every notebook, grade a sample class, write a report
	$(BIN)/course all

test: .venv/installed  ## lint, then test everything: units, notebooks, labs through nbgrader
	$(BIN)/course models pull smollm2-135m-instruct
	$(BIN)/course models pull minilm-l6-v2
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_notebooks.py  # one after the other, on all cores
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --ignore tests/test_notebooks.py

lint: .venv/installed  ## check the style of Python files and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lab: .venv/installed  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

site: .venv/installed  ## build the website, with the outputs of the last run or of SITE_NOTEBOOKS=FOLDER
	rm -rf build/site build/site-parts
	mkdir -p build/site-parts/source
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/site-parts/doctrees build/site-parts/source build/site
	@echo "Website: build/site/index.html"

bench: .venv/installed  ## measure speed, as ratios in one run
	$(BIN)/course bench

lock:  ## pin anew every package that pyproject.toml needs
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet torch==2.13.0
	build/lock/bin/pip install --quiet --upgrade setuptools '.[test,site]'
	build/lock/bin/pip freeze --all --exclude pip --exclude llm-course | sed 's/+cpu$$//' > requirements.lock.part
	mv requirements.lock.part requirements.lock

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The course needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Installing $$(grep -c == requirements.lock) pinned packages into .venv ..."
	@began=$$(date +%s) && $(PYTHON) -m venv .venv \
	&& $(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock \
	&& $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . \
	&& echo "Installed in $$(( $$(date +%s) - began )) s." && touch $@
