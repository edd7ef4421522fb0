#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds hello.tar, an image that prints a greeting, in this folder.
# PYTHON names a Python that has absl-py; python3 by default.
set -eu
umask 022
python=${PYTHON:-python3}
case $python in
    /*) ;;
    */*) python=$PWD/$python ;; # the path was given from the folder that is left here
esac
cd "$(dirname "$0")"

# The layer: the same files give the same bytes, whoever packs them and when.
mkdir -p root
"$python" make_hello.py root/hello
tar --create --file=layer.tar --format=gnu --sort=name --mtime=@0 \
    --owner=0 --group=0 --numeric-owner --mode=0755 --directory=root hello
sha256sum layer.tar > layer.sha256

# The configuration; the layer's identifier is its diff ID.
read -r diff_id _ < layer.sha256
sed "s/@LAYER@/$diff_id/" config.json.in > config.json
sha256sum config.json > config.sha256

"$python" ../../create_image.py \
    --output=hello.tar \
    --id=@config.sha256 \
    --config=config.json \
    --layer=@layer.sha256=layer.tar \
    --tag=example/hello:1.0
