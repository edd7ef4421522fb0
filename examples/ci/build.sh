#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds, checks and pushes the image of a program, as a job of a CI system does it.
#
# Usage: build.sh DIRECTORY OUTPUT
#     DIRECTORY          the files of the program, with `run`, which starts it
#     OUTPUT             the directory for image.tar, id.txt and digest.txt
# Variables:
#     BUILD_IMAGE        the program that `make dist` makes; build_image on the PATH by default
#     BASE               an image archive to build on, such as `docker save` writes
#     VERSION            the version of the program; dev by default
#     SOURCE_DATE_EPOCH  the time of the image in seconds since 1970; 0 by default
#     REPOSITORY         where to push to, like registry.example.com/app; by default nothing is
set -eu
files=$1
output=$2
version=${VERSION:-dev}

# An empty value, such as that of --base without BASE, counts as not given.
mkdir -p "$output"
"${BUILD_IMAGE:-build_image}" \
    --output="$output/image.tar" \
    --id_file="$output/id.txt" \
    --oci \
    --digest_file="$output/digest.txt" \
    --verify \
    --base="${BASE:-}" \
    --file="$files=/srv/app" \
    --workdir=/srv/app \
    --entrypoint=/srv/app/run \
    --user=65534 \
    --created="${SOURCE_DATE_EPOCH:-0}" \
    --labels=org.opencontainers.image.version="$version" \
    --tag="example/app:$version"

# The registry then has the image under the digest in digest.txt.
if [ -n "${REPOSITORY:-}" ]; then
    skopeo copy --quiet --preserve-digests \
        "oci-archive:$output/image.tar" "docker://$REPOSITORY:$version"
fi
