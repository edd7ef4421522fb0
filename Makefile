# SPDX-License-Identifier: Apache-2.0
# PYTHON is the Python 3.10 or later that the virtual environment is made with.
PYTHON ?= python3
VENV ?= .venv

.PHONY: image test bench clean

image: $(VENV)/run
	@PYTHON=$(abspath $(VENV))/bin/python3 examples/hello/build.sh
	@echo
	@echo 'The image is in examples/hello/hello.tar. To load and run it:'
	@echo '    docker load --input=examples/hello/hello.tar'
	@echo '    docker run --rm example/hello:1.0'

test: $(VENV)/test
	@$(VENV)/bin/python3 -m pytest $(PYTEST_ARGS)

bench: $(VENV)/run
	@$(VENV)/bin/python3 tests/bench.py

clean:
	rm -rf $(VENV)

$(VENV)/run: requirements.txt
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python3 -m pip install --quiet --require-hashes --requirement=requirements.txt
	@touch $@

$(VENV)/test: $(VENV)/run requirements-test.txt
	@$(VENV)/bin/python3 -m pip install --quiet --require-hashes --requirement=requirements-test.txt
	@touch $@
