# Everything from a bare Python: each target makes the environment it needs.
#   make quickstart       install and run the main job on embedded data (no download)
#   make quickstart-text   the same from text: features, methods, scores (installs the extra `text`)
#   make test             run the test suite
#   make test-adapters     the tests against LensKit, Cornac, FAISS and RecBole, with all of them installed
#   make check            what CI runs before the tests: format, lint, types, import layers, generated files
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/quickstart
RECBOLE ?= .peers/recbole-tests

.PHONY: quickstart quickstart-text test test-adapters test-slow check check-style check-types fix stubs cards gallery notebooks leaderboard clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphcl needs Python 3.11 or newer; say make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)

# what is installed is not compiled: a small part is ever imported, and is compiled then, whatever the environment says
export PYTHONDONTWRITEBYTECODE :=

# two stamps: users of the quickstart need no development tools
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --group dev
	@touch $@

quickstart: $(VENV)/.installed
	$(BIN)/graphcl bench run quickstart --out $(OUT)
	@echo
	@echo "Next:  $(BIN)/graphcl ls methods"
	@echo "       $(BIN)/graphcl run grace digits-knn --seed 1 --set temperature=0.3"
	@echo "       $(BIN)/graphcl data ls          (public graphs: fetched on first use)"
	@echo "       docs/index.md"

quickstart-text: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[text]'
	$(BIN)/graphcl bench run quickstart-text --out $(OUT)-text

# one thread per process: the processes already take all cores
test: $(VENV)/.developed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

# the frameworks of recommender people: the others in one environment, RecBole with its old pins in another
test-adapters: $(VENV)/.developed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[recsys]'
	$(BIN)/python -m pytest tests/unit/test_lenskit_adapter.py tests/unit/test_cornac_adapter.py \
	    tests/unit/test_vector_index.py tests/unit/test_interaction_files.py tests/unit/test_ranking.py
	$(PYTHON) -m venv $(RECBOLE)
	$(RECBOLE)/bin/python -m pip install --quiet -r tests/environments/recbole.txt
	$(RECBOLE)/bin/python -m pip install --quiet --no-deps recbole==1.2.1
	PYTHONPATH=. $(RECBOLE)/bin/python -m pytest tests/unit/test_recbole_adapter.py

test-slow: $(VENV)/.developed
	$(BIN)/python -m pytest -m slow

# in two parts, so that `make -j2 check` does them side by side
check: check-style check-types

check-style: $(VENV)/.developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python tools/stubs.py --check
	$(BIN)/python tools/leaderboard.py --check
	$(BIN)/python tools/gallery.py --check

check-types: $(VENV)/.developed
	$(BIN)/mypy

fix: $(VENV)/.developed
	$(BIN)/python tools/stubs.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stubs: $(VENV)/.developed
	$(BIN)/python tools/stubs.py

cards: $(VENV)/.developed
	$(BIN)/python -m graphcl.data.cards datasets

leaderboard: $(VENV)/.developed
	$(BIN)/python tools/leaderboard.py

gallery: $(VENV)/.developed
	$(BIN)/python tools/gallery.py

notebooks: $(VENV)/.developed
	$(BIN)/jupytext --sync notebooks/*.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
