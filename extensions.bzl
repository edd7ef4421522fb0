# SPDX-License-Identifier: Apache-2.0
"""The repositories that create_image's targets need, for MODULE.bazel files."""

load("//:deps.bzl", "pip_packages", "python_rules")

_PACKAGES = """
alias(
    name = "packages",
    actual = "@abseil-py//absl:app",
    visibility = ["//visibility:public"],
)
"""

def _registry_packages_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", _PACKAGES)

_registry_packages = repository_rule(
    implementation = _registry_packages_impl,
    doc = "The target `packages` of what pip_packages installs elsewhere, from the registry.",
)

def _create_image_deps_impl(_):
    python_rules(
        name = "create_image_python",
        rules_python = True,
    )
    _registry_packages(name = "create_image_packages")

create_image_deps = module_extension(implementation = _create_image_deps_impl)

def _create_image_test_deps_impl(_):
    pip_packages(
        name = "create_image_test_packages",
        requirements = "//:requirements-test.txt",
    )

create_image_test_deps = module_extension(implementation = _create_image_test_deps_impl)
