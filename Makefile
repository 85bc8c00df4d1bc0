# Two commands: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
PYTHON ?= python3
BIN := .venv/bin
FOLDERS := bench attacks defenses tasks leaderboard
export OMP_NUM_THREADS := 1

.PHONY: demo test check clean

demo: .venv/installed
	$(BIN)/heist run

test: check
	$(BIN)/pytest -n auto --cov --cov-report=term:skip-covered

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/types/heistbench
	for folder in $(FOLDERS); do ln -sfn ../../../$$folder build/types/heistbench/$$folder; done
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints-cpu.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e . -c constraints-cpu.txt
	touch $@

.venv/installed-dev: pyproject.toml constraints-cpu.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[dev]' -c constraints-cpu.txt
	touch $@ .venv/installed

clean:
	rm -rf .venv build out
