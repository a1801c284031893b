# Two commands do everything: `make demo` and `make test`. Each makes .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo test test-full check format docs clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[all,test,lint]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lepton demo $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check
	$(BIN)/python -m pytest -q tests/contracts/test_architecture.py tests/contracts/test_public_api.py

test: check
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not long" $(ARGS)

test-full: check
	$(BIN)/python -m pytest -q -m "not long" -n $(WORKERS) --dist loadgroup $(ARGS)
	$(BIN)/python -m pytest -q -m long $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .lepton build dist *.egg-info
