# Everything a newcomer needs: `make repro` and `make test`. See README.md.
PROFILE ?= laptop
SET ?=
PYTHON ?= python3

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export OMP_WAIT_POLICY := PASSIVE
export DVC_NO_ANALYTICS := 1

# The folder in which a profile runs: the top for the one in params.yaml, a shadow copy for the others.
WHERE = $(shell PATH="$(PATH)" python -m lib.profile $(PROFILE) $(if $(SET),--set $(SET)) || echo failed)

# The smoke profile compiles much and computes little.
COMPILING = $(if $(filter smoke,$(PROFILE)),XLA_FLAGS=--xla_backend_optimization_level=0)

.PHONY: repro test figures lab doctor bench-dalle-mini pin lock

repro: .venv/ready  ## Draw, train, sample, measure, judge: PROFILE=smoke|laptop|gpu, SET="section.key=value ..."
	@where="$(WHERE)" && test "$$where" != failed && cd "$$where" && $(COMPILING) dvc repro && python -m lib.pipeline.summary

test: .venv/ready  ## Style, unit tests, then the smoke profile end to end
	@ruff check . && ruff format --check .
	@OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadgroup --ignore=tests/end_to_end
	@python -m pytest -q tests/end_to_end

figures: .venv/ready  ## Every figure, table and verdict, drawn anew; needs neither data nor models
	@python -m lib.figures

lab: .venv/ready  ## The notebooks in JupyterLab
	@jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

doctor: .venv/ready  ## One screen: what will and will not run here, and how long it takes
	@python -m lib.doctor

bench-dalle-mini: .venv/ready  ## Speed of DALL·E Mini on this machine, some minutes: results/benchmarks/dalle_mini.md
	@python -m lib.bench.dalle_mini

pin: .venv/ready  ## Authors: make the last run the reference that later runs are compared with
	@python -m lib.pipeline.pin

lock: .venv/ready  ## Authors: choose versions anew from pyproject.toml
	@python -m lib.environment --lock

.venv/ready: requirements.lock lib/environment.py
	@$(PYTHON) -m lib.environment && touch $@
