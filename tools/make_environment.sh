#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a virtual environment of the Python $PYTHON in the directory $VENV, or leaves the one
# that is there, and installs what is not yet in it. Usage:
#     make_environment.sh run     what the programs need
#     make_environment.sh test    what the tests need, too
set -eu

fail() {
    echo "create_image: $1" >&2
    exit 1
}

# Prints what tells a Python from others: an environment has that of the Python that made it.
identity() { # Python
    "$1" -c 'import sys; print(sys.version, getattr(sys, "base_prefix", sys.prefix))' 2>/dev/null
}

check_python() {
    version=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "PYTHON=$PYTHON is Python $version, and 3.10 or later is needed: $other"
    # Debian's Python has venv, and lacks ensurepip, which venv calls, without python3-venv.
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "PYTHON=$PYTHON has no venv: install it (Debian's python3-venv), or $other"
}

remove_environment() {
    if [ -e "$VENV/pyvenv.cfg" ]; then
        rm -rf -- "$VENV"
    elif [ -e "$VENV" ] && ! rmdir -- "$VENV" 2>/dev/null; then
        fail "VENV=$VENV is there, and no virtual environment: give another path"
    fi
}

# Leaves a whole environment or none, also when it is interrupted.
make_environment() {
    check_python
    remove_environment
    trap 'rm -rf -- "$VENV"' EXIT
    trap 'exit 1' HUP INT TERM
    "$PYTHON" -m venv -- "$VENV"
    trap - EXIT HUP INT TERM
}

# Installs what a file lists, unless a copy of the file says that this was done.
install() { # name of the copy, file
    if ! cmp -s -- "$2" "$VENV/$1"; then
        # Errors alone: pip warns of each directory in its settings that a machine does not have.
        "$VENV/bin/python3" -m pip install --quiet --quiet --require-hashes --requirement="$2"
        cp -- "$2" "$VENV/$1"
    fi
}

other='give another, as in make PYTHON=python3.12'
[ -n "$VENV" ] || fail 'VENV= is empty: give a directory'
wanted=$(identity "$PYTHON") || fail "PYTHON=$PYTHON does not run: $other"
present=$(identity "$VENV/bin/python3") || present=none
if [ "$present" != "$wanted" ]; then
    make_environment
fi
install run requirements.txt
if [ "$1" = test ]; then
    install test requirements-test.txt
fi
