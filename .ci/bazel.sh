#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and tests with two real Bazels, and shows that the actions are cacheable.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
work=$(mktemp -d)
bazels=()

finish() {
    for command in "${bazels[@]}"; do $command shutdown >/dev/null 2>&1 || true; done
    if [ -f "$work/nginx.pid" ]; then kill "$(cat "$work/nginx.pid")" || true; fi
    rm -f "$top/bazel-out" "$top/tests/bazel/bazel-out"
    { chmod -R u+w "$work" && rm -rf "$work"; } 2>/dev/null || rm -rf "$work"
}
trap finish EXIT

npm install --silent --no-fund --no-audit --prefix "$work/npm" \
    @bazel/bazel-linux_x64@2.1.0 @bazel/buildifier@8.2.1 >"$work/npm.log" 2>&1 ||
    { cat "$work/npm.log"; exit 1; }

echo '-- buildifier'
"$work/npm/node_modules/.bin/buildifier" -mode=check \
    BUILD WORKSPACE deps.bzl tests/BUILD examples/hello/BUILD tests/bazel/BUILD tests/bazel/WORKSPACE

# What Bazel itself would download, and a machine without network lacks.
repository() { # name, package, file, rules
    mkdir -p "$work/$1/$2"
    echo "workspace(name = '$1')" >"$work/$1/WORKSPACE"
    touch "$work/$1/$2/BUILD"
    for rule in $4; do echo "$rule = native.$rule"; done >"$work/$1/$2/$3"
}
repository rules_cc cc defs.bzl 'cc_binary cc_import cc_library cc_proto_library cc_test
    cc_toolchain cc_toolchain_suite fdo_prefetch_hints fdo_profile objc_library objc_import'
repository rules_java java defs.bzl 'java_binary java_import java_library java_lite_proto_library
    java_proto_library java_test java_plugin java_package_configuration java_runtime
    java_toolchain'
repository remote_coverage_tools . unused.bzl ''
echo 'filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])' \
    >"$work/remote_coverage_tools/BUILD"

# Runs Bazel `$1` (new or old) with the output base `$2`; `$3` is the command.
bazel() {
    local program='/usr/bin/bazel --nohome_rc'
    if [ "$1" = old ]; then
        program=$work/npm/node_modules/@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64
        program+=' --nohome_rc --nosystem_rc'
    fi
    local command="$program --output_base=$work/$1-$2"
    [[ " ${bazels[*]} " == *"$work/$1-$2"* ]] || bazels+=("$command")
    $command "$3" --override_repository=rules_cc="$work/rules_cc" \
        --override_repository=rules_java="$work/rules_java" \
        --override_repository=remote_coverage_tools="$work/remote_coverage_tools" \
        --symlink_prefix="$work/bazel-" --spawn_strategy=sandboxed --nosandbox_debug \
        "${@:4}"
}

# Runs a command whose output is shown only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}

images() { (cd "$work/bazel-bin" && sha256sum ./*.tar); }

echo '-- the example, in two output bases and by both versions'
dpkg-query --show bazel-bootstrap
make --silent image >/dev/null
for run in 'new a' 'new b' 'old a'; do
    # shellcheck disable=SC2086  # two words
    quietly bazel $run build //...
    cmp "$work/bazel-bin/examples/hello/hello.tar" examples/hello/hello.tar
    cmp "$work/bazel-bin/examples/hello/derived.tar" \
        "$work/bazel-bin/examples/hello/derived_by_flagfile.tar"
    sha256sum "$work/bazel-bin"/examples/hello/*.tar | sed "s,$work/,," | tee "$work/now"
    [ -f "$work/first" ] || cp "$work/now" "$work/first"
    cmp "$work/first" "$work/now"
done

echo '-- the suite'
quietly bazel new a test --test_output=errors //...
grep PASSED "$work/log"

echo '-- another workspace, with a remote cache'
cat >"$work/nginx.conf" <<EOF
error_log $work/nginx.log;
pid $work/nginx.pid;
user root;
load_module modules/ngx_http_dav_ext_module.so;
events {}
http {
    access_log off;
    client_body_temp_path $work/body;
    client_max_body_size 0;
    server {
        listen 127.0.0.1:8089;
        location / { root $work/cache; dav_methods PUT DELETE; create_full_put_path on; }
    }
}
EOF
mkdir -p "$work/cache" "$work/body"
nginx -c "$work/nginx.conf" 2>>"$work/nginx.log"
cd tests/bazel
consumer() { bazel new "$1" build --remote_cache=http://127.0.0.1:8089 "${@:2}"; }
quietly consumer c //...
images | tee "$work/built"
quietly consumer d //...
images | cmp - "$work/built"
grep 'processes:' "$work/log"
# Every action of the empty output base d was in the cache.
! grep -E '[0-9]+ (linux-sandbox|processwrapper-sandbox|local|worker)' "$work/log"
grep -qE '[0-9]+ remote cache hit' "$work/log"
quietly bazel old c build //...
images | cmp - "$work/built"

echo '-- what a build says'
touch BUILD
if bazel new c build --noshow_progress --ui_event_filters=-info //... 2>&1 | grep .; then
    echo 'a build that succeeds is not silent'
    exit 1
fi
if bazel new c build //:wrong >"$work/log" 2>&1; then
    echo 'a wrong identifier does not fail the build'
    exit 1
fi
grep '^create_image: --layer: ' "$work/log"

echo '-- pip by its own settings'
python3 -m pip download --quiet --require-hashes --dest="$work/wheels" \
    --requirement=../../requirements.txt
export PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null
PIP_FIND_LINKS="$work/wheels" quietly bazel new e build //...
if PIP_FIND_LINKS="$work/body" bazel new f build //... >"$work/log" 2>&1; then
    echo 'a failure of pip does not fail the build'
    exit 1
fi
grep -A 2 'pip could not install what @create_image//:requirements.txt lists' "$work/log" | tail -n 2
grep -q 'No matching distribution found for absl-py' "$work/log"
