# Everything a newcomer needs, from a machine that has only Python >= 3.11, make and a package index.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
CODE := src tests experiments

.DEFAULT_GOAL := help
.PHONY: help setup train sweep experiments priors benchmark chaos demo demo-page tensorboard test test-slow test-matrix docs lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) && \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

setup: $(VENV)/.done ## Install the package and its tools into .venv

train: setup ## Train on the embedded digits, a minute; ARGS="latent_dim=2"
	@$(BIN)/cvae-train $(ARGS)

sweep: setup ## Train twelve runs: prior x likelihood x latent size
	@$(BIN)/cvae-train sweeps=prior_likelihood_latent $(ARGS)

experiments: setup ## Train and evaluate all, nine hours; ARGS="data.root=DIR"
	@for file in conf/experiment/*.yaml; do \
	  name=$$(basename $$file .yaml); run=outputs/experiments/$$name; \
	  begun=$$(test -d $$run/checkpoints && echo resume=$$run); \
	  test -f $$run/metrics.json || \
	    $(BIN)/cvae-train $${begun:-experiment=$$name hydra.run.dir=$$run $(ARGS)} || exit; \
	  how=$$(sed -n 's/^# Evaluated with: //p' $$file); \
	  grep -q test/nll $$run/metrics.json || $(BIN)/cvae-evaluate $$run $$how || exit; \
	done
	@$(BIN)/python experiments/table.py outputs/experiments/*

priors: setup ## Compare five priors, forty minutes; ARGS="data.root=DIR"
	@$(BIN)/cvae-train sweeps=priors hydra.sweep.dir=outputs/priors $(ARGS)
	@for run in outputs/priors/*/; do $(BIN)/cvae-evaluate $$run || exit; done
	@$(BIN)/cvae-report outputs/priors out=experiments/priors.html
	@$(BIN)/python experiments/table.py

benchmark: setup ## Measure against a bare loop, half an hour; ARGS=DIR of MNIST
	@$(BIN)/python experiments/benchmarks/benchmark.py $(ARGS)

chaos: setup ## Kill fifty commands, and compare the bits, ten minutes
	@$(BIN)/python experiments/chaos.py $(ARGS)

demo: ## Open a page that draws digits, by a small model of MNIST
	@$(PYTHON) -m webbrowser -t "file://$(CURDIR)/experiments/demo.html" >/dev/null; \
	  echo "experiments/demo.html"

demo-page: setup ## Train that model again, half an hour; ARGS="data.root=DIR"
	@$(BIN)/cvae-train data=mnist data.val_fraction=0.05 latent_dim=24 prior=mixture network=gated_mlp network.width=512 \
	    objective.warmup_epochs=3 scheduler=cosine callbacks=ema trainer.max_epochs=40 trainer.precision=bf16-mixed hydra.run.dir=outputs/demo $(ARGS)
	@$(BIN)/cvae-export checkpoint=outputs/demo title='Handwritten numbers by a conditional VAE' out=experiments/demo.html

tensorboard: setup ## Look at the curves of all runs and sweeps
	@mkdir -p outputs multirun .tensorboard && ln -sfn ../outputs .tensorboard/runs && ln -sfn ../multirun .tensorboard/sweeps
	@$(BIN)/tensorboard --logdir .tensorboard $(ARGS)

test: setup lint ## Lint, then run the tests, under ten minutes; ARGS="-k prior"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-slow: setup ## Test killed sweeps, and a Slurm and a Ray cluster
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev,ray]'; \
	else $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,ray]'; fi
	@$(BIN)/python -m pytest -m slow $(ARGS)

test-matrix: setup ## Test on other versions of Python, torch and Hydra; needs uv
	@$(BIN)/python tests/matrix.py $(ARGS)

docs: setup ## Build the documentation's site into build/docs
	@if command -v uv >/dev/null; then \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev,docs]'; \
	else $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'; fi
	@$(BIN)/python -m sphinx -W --keep-going -q -c .github/docs -d build/docs/.trees . build/docs && echo build/docs/index.html

lint: setup ## Check style, types, and what imports what
	@$(BIN)/ruff check $(CODE) && $(BIN)/ruff format --check --quiet $(CODE) && $(BIN)/mypy \
	  && $(BIN)/lint-imports --no-logo

format: setup ## Format the code
	@$(BIN)/ruff check --fix --quiet $(CODE) ; $(BIN)/ruff format --quiet $(CODE)

clean: ## Remove what was installed and cached; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
