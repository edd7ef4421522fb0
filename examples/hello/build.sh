#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds hello.tar, an image that prints a greeting, in this directory.
# PYTHON names a Python that has absl-py; python3 by default.
set -eu
umask 022
python=${PYTHON:-python3}
case $python in
    /*) ;;
    */*) python=$PWD/$python ;; # the path is relative to the directory that is left here
esac
cd "$(dirname "$0")"

mkdir -p root
"$python" make_hello.py root/hello

# The same files give the same bytes, whoever packs them and when.
"$python" ../../build_image.py \
    --output=hello.tar \
    --file=root=/ \
    --command=/hello \
    --created_by=create_image \
    --tag=example/hello:1.0
