# SPDX-License-Identifier: Apache-2.0
# PYTHON is the Python 3.10 or later that the virtual environment is made with, VENV its directory.
PYTHON ?= python3
VENV ?= .venv

# The recipes take both from the environment: the shell quotes any path, and make quotes none.
export PYTHON VENV

.PHONY: image test test-all bench dist clean environment test-environment

image: environment
	@PYTHON="$$VENV/bin/python3" examples/hello/build.sh
	@echo
	@echo 'The image is in examples/hello/hello.tar. To load and run it:'
	@echo '    docker load --input=examples/hello/hello.tar'
	@echo '    docker run --rm example/hello:1.0'

# The everyday tests, in one process for each core.
test: test-environment
	@"$$VENV/bin/python3" -m pytest -rs -n auto $(PYTEST_ARGS)

# Those too that take long, or need clients or a mount; each run of a program is a new process,
# unless REAL_PROCESSES=0 is set.
test-all: test-environment
	@ALL_TESTS=1 REAL_PROCESSES="$${REAL_PROCESSES:-1}" "$$VENV/bin/python3" -m pytest -rs $(PYTEST_ARGS)

bench: environment
	@"$$VENV/bin/python3" tests/programs/bench.py

dist: environment
	@"$$VENV/bin/python3" tools/make_dist.py

clean:
	rm -rf -- "$$VENV" dist

environment:
	@tools/make_environment.sh run

test-environment:
	@tools/make_environment.sh test
