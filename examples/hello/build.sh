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

# The layer: the same files give the same bytes, whoever packs them and when.
mkdir -p root
"$python" make_hello.py root/hello
"$python" ../../build_tar.py \
    --output=layer.tar \
    --id_file=layer.sha256 \
    --file=root=/

# The configuration; its SHA-256 is the image's identifier.
"$python" ../../create_image_config.py \
    --output=config.json \
    --layer=@layer.sha256 \
    --command=/hello \
    --created_by=create_image
sha256sum config.json > config.sha256

"$python" ../../create_image.py \
    --output=hello.tar \
    --id=@config.sha256 \
    --config=config.json \
    --layer=@layer.sha256=layer.tar \
    --tag=example/hello:1.0
