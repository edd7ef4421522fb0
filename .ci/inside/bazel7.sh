# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Bazel 7 in the chroot, without network: Debian's own of what Bazel would download.
work=$(mktemp -d)
debian=/usr/share/bazel

say() { echo "-- [$SECONDS s] $*"; }

# Runs a command whose output is shown only if it fails, and kept in $work/log.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; }

# A workspace that is a module, too.
stub() { # name, version
    mkdir -p "$work/stubs/$1"
    echo "workspace(name = '$1')" >"$work/stubs/$1/WORKSPACE"
    echo "module(name = '$1', version = '$2')" >"$work/stubs/$1/MODULE.bazel"
    touch "$work/stubs/$1/BUILD"
}

# A module in a registry of this machine.
registered() { # name, version
    local directory=$work/registry/modules/$1/$2
    stub "$1" "$2"
    mkdir -p "$directory"
    cp "$work/stubs/$1/MODULE.bazel" "$directory/"
    echo "{\"type\": \"local_path\", \"path\": \"$work/stubs/$1\"}" >"$directory/source.json"
}

# What bazel test asks for, and does not use.
stub remote_coverage_tools ''
echo 'filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])' \
    >"$work/stubs/remote_coverage_tools/BUILD"

by_workspace=(--enable_workspace --noenable_bzlmod)
for pair in rules_cc=rules/cc rules_java=rules/java rules_license=rules/license \
    rules_proto=rules/proto rules_python=rules/python bazel_features=tools/features \
    bazel_skylib=tools/skylib platforms=tools/platforms; do
    by_workspace+=("--override_repository=${pair%%=*}=$debian/${pair#*=}")
done

# Bazel's own modules ask for these, and use nothing of them here. For those above, Debian's
# bazelrc names its own.
by_module=(--noenable_workspace --enable_bzlmod --lockfile_mode=off)
by_module+=("--registry=file://$work/registry")
mkdir -p "$work/registry"
echo '{}' >"$work/registry/bazel_registry.json"
registered apple_support 1.23.1
registered buildozer 7.1.2
registered protobuf 3.19.6
registered protobuf 21.7
registered zlib 1.3.1.bcr.3

# The registry's abseil-py, with PyPI's files of that version.
registered abseil-py 2.4.0
echo 'bazel_dep(name = "rules_python", version = "1.8.1")' |
    tee --append "$work/stubs/abseil-py/MODULE.bazel" \
        >>"$work/registry/modules/abseil-py/2.4.0/MODULE.bazel"
quietly python3 -m pip install --quiet --no-deps --target="$work/stubs/abseil-py" absl-py==2.4.0
cat >"$work/stubs/abseil-py/absl/BUILD" <<END
load("@rules_python//python:defs.bzl", "py_library")

py_library(
    name = "app",
    srcs = glob(["**/*.py"]),
    imports = [".."],
    visibility = ["//visibility:public"],
)
END

# Runs Bazel in the workspace of the working directory.
bazel() { # output base, 'workspace' or 'module', command and arguments
    local mode="by_$2[@]"
    quietly /usr/bin/bazel --nohome_rc --output_base="$work/$1" "$3" "${!mode}" \
        --override_repository=remote_coverage_tools="$work/stubs/remote_coverage_tools" \
        --symlink_prefix="$work/$1-" --curses=no --noshow_progress "${@:4}"
}

# Ends the server of an output base.
shut_down() { quietly /usr/bin/bazel --nohome_rc --output_base="$work/$1" shutdown; }

# Lists the archives that an output base holds.
images() { # output base
    (cd "$work/$1-bin" && find . -name '*.tar' -not -path '*.runfiles/*' -exec sha256sum {} + |
        sort --key=2)
}
