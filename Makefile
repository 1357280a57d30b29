# The steps of continuous integration, each also for use by hand:
#   make test    environment, installation and tests in one go
#   make coverage  the tests once more, with the share of lines and branches that they reach
#   make oldest  the wheel beside the oldest versions of what it needs
#   make readme  README's install line and code in a fresh environment
#   make demo    the main job on the embedded digits; DATA=fashion-mnist for 60,000 images
# and, by hand alone:
#   make reproduce    the papers' experiments and their page, hours; QUICK=1 in minutes; -j2 for two at a time
#   make bench    speed, cost and memory, and their page, hours; PEERS="cebra=<its python> torch-mist=<..> umap=<..>" beside them
PYTHON ?= python3
TORCH ?= $(shell sed -n 's/^torch==//p' .ci/constraints.txt)
VENV ?= .venv
DATA ?= digits

bin := $(VENV)/bin
installed := $(VENV)/.installed

# The longest first. A run whose rows are there already is not repeated.
experiments := deep_infomax_findings bijective matched_bounds critic_capacity adversarial invertibility metric_learning \
	dependent_negatives ladders

# Each class, every bound and the files: what would meet another version of a dependency first.
SMOKE := $(addprefix tests/,test_base.py test_multiview.py test_predictive_coding.py test_deep_infomax.py \
	information/test_mi_estimator.py evaluation training/test_checkpoint.py)

.PHONY: env install lint format types test coverage docs readme oldest demo reproduce bench clean
.DEFAULT_GOAL := test

# Debian keeps ensurepip in a package of its own: without it, pip comes from the interpreter that is there.
%/bin/python:
	$(PYTHON) -m venv $* || \
	{ $(PYTHON) -m venv --clear --without-pip $* && $(PYTHON) -m pip --python $@ install pip; }

$(installed): pyproject.toml .ci/constraints.txt | $(bin)/python
	$(bin)/python -m pip install --quiet --constraint .ci/constraints.txt --editable ".[dev,docs]"
	@touch $@

env: $(bin)/python

install: $(installed)

lint: install
	$(bin)/ruff check .
	$(bin)/ruff format --check .

format: install
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

# The wheel is checked as well: of an editable install mypy does not report all that users meet.
types: install
	$(bin)/mypy
	rm -rf build/wheel
	$(bin)/python -m pip install --quiet --no-deps --target build/wheel .
	cp tests/typed_use.py build/wheel
	cd build/wheel && $(abspath $(bin))/mypy --config-file $(abspath pyproject.toml) -p skdim
	cd build/wheel && $(abspath $(bin))/mypy --config-file $(abspath pyproject.toml) typed_use.py

test: install
	$(bin)/python -m pytest --numprocesses auto --dist worksteal

coverage: install
	$(bin)/python -m pytest --cov --numprocesses auto --dist worksteal

docs: install
	$(bin)/python tests/code_blocks.py docs/index.md docs/guide/*.md
	$(bin)/sphinx-build -W --keep-going -b html docs docs/_build/html

# The README as a new user meets it: its install line, its blocks, and nothing else in the environment.
readme:
	rm -rf .venv-readme
	$(MAKE) --no-print-directory .venv-readme/bin/python
	PATH="$(CURDIR)/.venv-readme/bin:$$PATH" PIP_CONSTRAINT=.ci/constraints.txt PIP_QUIET=1 \
		sh -exc "$$($(PYTHON) tests/code_blocks.py --install README.md)"
	env -u PYTHONPATH .venv-readme/bin/python -P -W default tests/code_blocks.py README.md

# The wheel beside the oldest versions that it allows, in an environment of its own: the part of the tests that trains.
oldest:
	rm -rf .venv-oldest build/dist
	$(MAKE) --no-print-directory .venv-oldest/bin/python
	.venv-oldest/bin/python -m pip wheel --quiet --no-deps --wheel-dir build/dist .
	.venv-oldest/bin/python -m pip install --quiet --constraint .ci/oldest.txt "$$(echo build/dist/*.whl)[metrics,skops]" \
		torch==$(TORCH) hypothesis pandas pytest pytest-xdist
	.venv-oldest/bin/pytest --numprocesses auto --dist worksteal -p no:cacheprovider $(SMOKE)

demo: install
	$(bin)/python benchmarks/demo.py --data $(DATA)

reproduce: $(experiments:%=reproduce-%)
	$(bin)/python benchmarks/reproductions/report.py $(if $(QUICK),--quick)

reproduce-%: install
	$(bin)/python benchmarks/reproductions/$*.py $(if $(QUICK),--quick,--test)

bench: install
	$(bin)/python benchmarks/training_speed.py --threads 1 2 $(if $(PEERS),--peers $(PEERS))
	$(bin)/python benchmarks/precision.py --threads 1
	$(bin)/python benchmarks/training_profile.py --threads 1 2
	$(bin)/python benchmarks/transform_speed.py
	$(bin)/python benchmarks/quality_per_second.py --threads 1 --seeds 0 1 2 $(if $(PEERS),--peers $(PEERS))
	$(bin)/python benchmarks/scaling.py
	$(bin)/python benchmarks/memory.py --n 1000000 --source array
	$(bin)/python benchmarks/memory.py --n 1000000 --source memmap
	$(bin)/python benchmarks/memory.py --n 20000 --shape 8000 --estimator conv1d --source memmap
	$(bin)/python benchmarks/memory.py --n 20000 --shape 8000 --estimator cpc --source memmap
	for side in 64 96 224; do $(bin)/python benchmarks/memory.py --n 640 --shape 3 $$side $$side; done
	$(bin)/python benchmarks/score_memory.py
	$(bin)/python benchmarks/search.py --threads 1
	$(bin)/python benchmarks/search.py --threads 2 --epochs 50
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/processes.py
	OMP_NUM_THREADS=1 $(bin)/torchrun --nproc-per-node 2 benchmarks/processes.py
	$(bin)/python benchmarks/speed_report.py

clean:
	rm -rf $(VENV) .venv-readme build dist demo docs/_build docs/auto_examples docs/generated
	rm -rf .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
