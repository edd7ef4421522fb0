#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Has a container client load an image: the layers above the base, if the client has those of the
# base, else all of them. `bazel run` of a docker_build runs this.
#
# Usage: load_image.sh NAME WHOLE PARTIAL BASE [TAG]
#
# NAME is for messages, WHOLE and PARTIAL are archives of the image, and BASE is what
# describe_base.py wrote. The last two are empty for an image without a base. TAG is one more tag
# for the image. The variable DOCKER names the client; it is docker by default.
set -euf
name=$1
whole=$2
partial=$3
base=$4
shift 4
client=${DOCKER:-docker}
newline='
'

say() { printf '%s: %s\n' "$name" "$*"; }

fail() {
    say "$@" >&2
    exit 1
}

# Prints the items of one kind in the description of the base.
described() { # kind
    sed -n "s/^$1 //p" "$base"
}

# Tells whether an image of the client has all layers of the base at its bottom.
has_base() { # name of the image
    format='{{range .RootFS.Layers}}{{println .}}{{end}}'
    layers=$("$client" image inspect --format="$format" "$1" 2>/dev/null) || return 1
    case $layers$newline in
        "$base_layers$newline"*) return 0 ;;
        *) return 1 ;;
    esac
}

# Prints the name of an image that has the layers of the base; fails if the client has none.
find_base() {
    for image in $(described name) $tags; do
        if has_base "$image"; then
            printf '%s\n' "$image"
            return
        fi
    done
    return 1
}

# Loads an archive, and keeps what the client prints in $output. Docker's store of containerd ends
# with status 0 if it cannot unpack what it loaded, and keeps an image that cannot run.
load() { # archive
    status=0
    output=$("$client" load --input="$1" 2>&1) || status=$?
    if [ -n "$output" ]; then
        printf '%s\n' "$output"
    fi
    case $output in
        *'Error unpacking image'*) return 1 ;;
        *) return "$status" ;;
    esac
}

bytes_of() { # file
    wc -c <"$1" | tr -d ' '
}

if [ $# -gt 1 ]; then
    fail "'$2' is one argument too many: give one tag at most"
fi
tag=${1:-}
case $tag in
    -*) fail "'$tag' is no tag: give repository:tag" ;;
    *[!A-Za-z0-9._:/-]*) fail "'$tag' is no tag: give repository:tag" ;;
esac
command -v "$client" >/dev/null || fail "there is no '$client': set DOCKER to docker or podman"

tags=$tag
is_loaded=no
reason='the image has no base'
if [ -n "$partial" ]; then
    reason="$client lacks the base"
    base_layers=$(described layer)
    tags="$(described tag) $tag"
    if found=$(find_base); then
        say "$client has the layers of the base in $found:" \
            "sending the others, $(bytes_of "$partial") bytes"
        if load "$partial"; then
            is_loaded=yes
        else
            reason="$client cannot complete the others"
        fi
    fi
fi
if [ $is_loaded = no ]; then
    say "$reason: sending the whole image, $(bytes_of "$whole") bytes"
    load "$whole" || fail "$client did not load the image"
fi

# The client names the image in its last line, by a tag or its ID. Podman completes a tag in the
# whole archive in another way than in the partial one, so the tags are set again.
image=$(printf '%s\n' "$output" | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
for new_tag in $tags; do
    "$client" tag "$image" "$new_tag" || fail "$client did not tag the image"
    say "the image has the tag $new_tag"
done
