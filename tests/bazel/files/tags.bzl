# SPDX-License-Identifier: Apache-2.0
"""Checks which repositories and tags the rules take for ones that Docker takes."""

load("@create_image//tools:tags.bzl", "is_tag")

# Tests in Python compare these with the function of the programs.
TAKEN = [
    ("bazel", "a"),
    ("bazel/a_b__c-d--e.f", "A_b.C-9"),
    ("gcr.io/a/b", "_"),
    ("registry.example:5000/a", "1"),
    ("Host/a", "1"),
    ("localhost/a", "1"),
    ("a/sha256", "1"),
    ("a" * 247, "t" * 128),
]
REFUSED = [
    ("", "a"),
    ("bazel", ""),
    ("bazel/", "a"),
    ("bazel//a", "a"),
    ("Bazel", "a"),
    ("bazel/A", "a"),
    ("bazel/a b", "a"),
    ("bazel/a+b", "a"),
    ("bazel/-a", "a"),
    ("bazel/a-", "a"),
    ("bazel/_a", "a"),
    ("bazel/a_", "a"),
    ("bazel/a..b", "a"),
    ("bazel/a___b", "a"),
    ("bazel/a_-b", "a"),
    ("bazel/a-.b", "a"),
    ("bazel/a.-b", "a"),
    ("Upper Case/a", "a"),
    ("sha256", "a"),
    ("bazel", "a/b"),
    ("bazel", "a+b"),
    ("bazel", "é"),
    ("bazel", ".a"),
    ("bazel", "-a"),
    ("bazel", "t" * 129),
    ("a" * 256, "a"),
]

def check_tags():
    """Fails if the rules are wrong about a tag."""
    wrong = [pair for pair in TAKEN if not is_tag(*pair)] + [pair for pair in REFUSED if is_tag(*pair)]
    if wrong:
        fail("tags.bzl is wrong about %r" % wrong)
