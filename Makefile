# Everything a newcomer needs: `make repro` and `make test`. See README.md.
PROFILE ?= laptop
SET ?=
STUDY ?=
ENGINE ?=
TAKE_OVER ?=
FROM ?=
PYTHON ?= python3
# Stages whose networks Git tracks: what other studies and the painter stand on.
TRACKED := train_text train_clip train_reader train_tokenizer dalle_mini/train@both muse/publish@masked
# A study that has none of them leaves their file as it is.
PACKED = $(if $(value STUDY),$(filter $(value STUDY)/%,$(TRACKED)),$(TRACKED))

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export OMP_WAIT_POLICY := PASSIVE
export DVC_NO_ANALYTICS := 1
export PYTHONUTF8 := 1
# As they were typed, and past every shell: neither make nor a shell reads what is in them.
unexport PROFILE SET STUDY ENGINE TAKE_OVER FROM
export EASEL_PROFILE = $(value PROFILE)
export EASEL_SET = $(value SET)
export EASEL_STUDY = $(value STUDY)
export EASEL_ENGINE = $(value ENGINE)
export EASEL_TAKE_OVER = $(value TAKE_OVER)
export EASEL_FROM = $(value FROM)
# With these, Python would not find lib/ here, or itself.
unexport PYTHONSAFEPATH PYTHONHOME
# With this one, every process would compile PyTorch, JAX and the rest anew: some images set it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: repro bundle networks check test figures pages demo lab doctor bench-dalle-mini pin lock environment

repro: environment  ## Draw, train, sample, measure, judge: PROFILE=smoke|laptop|gpu, STUDY=glu, SET="section.key=value ...", TAKE_OVER=3, FROM=file
	@python -m lib.repro

bundle: environment  ## What the last run spent its hours on, in one file that `make repro FROM=` starts from
	@python -m lib.bundle

networks: environment  ## The trained networks that Git tracks, into build/: to paint without a run
	@python -m lib.bundle --place networks/laptop.tar.gz

check: environment  ## A few minutes, nothing trained: data hash, exact laws, every figure, table and verdict byte for byte
	@python -m lib.check

test: environment  ## Style, unit tests, then the smoke profile end to end
	@ruff check . && ruff format --check .
	@OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder --ignore=tests/end_to_end
	@python -m pytest -q -n 2 --dist loadfile tests/end_to_end

figures: environment  ## Every figure, table and verdict, drawn anew; needs neither data nor models
	@python -m lib.figures

pages: environment  ## The site, build/pages/html: a page a claim, a paper, a study; needs no network
	@python -m pages

demo: environment  ## A page to paint and edit on, in the browser: on this machine alone, nothing from elsewhere
	@python -m demo

lab: environment  ## The notebooks in JupyterLab
	@jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

doctor: environment  ## One screen: what will and will not run here, and how long it takes
	@python -m lib.doctor

bench-dalle-mini: environment  ## Speed of DALL·E Mini on this machine, some minutes: results/benchmarks/dalle_mini.md
	@python -m studies.dalle_mini.code.benchmark

pin: environment  ## Authors: make the last run the reference that later runs are compared with, or STUDY=glu of it
	@python -m lib.pipeline.pin
	$(if $(PACKED),@python -m lib.bundle networks/laptop.tar.gz --stages $(TRACKED))

lock: environment  ## Authors: choose versions anew from pyproject.toml
	@python -m lib.environment --lock

environment:  ## .venv, if it does not hold the versions of requirements.lock already
	@$(PYTHON) -m lib.environment
