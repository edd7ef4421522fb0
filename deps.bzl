# SPDX-License-Identifier: Apache-2.0
"""The repositories that create_image's targets need, for WORKSPACE files."""

_PYTHON_RULES = ["py_binary", "py_library", "py_test"]

def _python_rules_impl(repository_ctx):
    lines = ["# The rules for Python, as this Bazel has them."]
    if repository_ctx.attr.rules_python:
        loaded = ["_{0} = \"{0}\"".format(rule) for rule in _PYTHON_RULES]
        lines.append("load(\"@rules_python//python:defs.bzl\", {})".format(", ".join(loaded)))
        prefix = "_"
    else:
        prefix = "native."
    lines.extend(["{0} = {1}{0}".format(rule, prefix) for rule in _PYTHON_RULES])
    repository_ctx.file("python.bzl", "\n".join(lines) + "\n")
    repository_ctx.file("BUILD.bazel", "")

python_rules = repository_rule(
    implementation = _python_rules_impl,
    attrs = {
        "rules_python": attr.bool(
            doc = "Take them from @rules_python: Bazel itself has none from 9 on.",
            mandatory = True,
        ),
    },
    doc = "The file python.bzl, which defines py_binary, py_library and py_test.",
)

# The files beside the modules tell a package its version, and pytest its plugins.
_BUILD = """
load("@create_image_python//:python.bzl", "py_library")

py_library(
    name = "packages",
    srcs = glob(["packages/**/*.py"]),
    data = glob([
        "packages/*.dist-info/METADATA",
        "packages/*.dist-info/entry_points.txt",
    ]),
    imports = ["packages"],
    visibility = ["//visibility:public"],
)
"""

def _pip_packages_impl(repository_ctx):
    # pip's own settings hold: an index or a directory of wheels, by PIP_* or pip.conf.
    requirements = repository_ctx.path(repository_ctx.attr.requirements)
    result = repository_ctx.execute(
        ["python3", "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes"] +
        ["--disable-pip-version-check", "--target=packages"] +
        ["--requirement={}".format(requirements)],
    )
    if result.return_code:
        fail("pip could not install what {} lists:\n{}{}".format(
            repository_ctx.attr.requirements,
            result.stdout,
            result.stderr,
        ))
    repository_ctx.file("BUILD.bazel", _BUILD)

pip_packages = repository_rule(
    implementation = _pip_packages_impl,
    attrs = {
        "requirements": attr.label(
            allow_single_file = True,
            doc = "A pip requirements file that pins versions and hashes.",
            mandatory = True,
        ),
    },
    doc = "A py_library `packages` of what the pip of python3 installs.",
    environ = [
        "PATH",
        "PIP_CONFIG_FILE",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_NO_INDEX",
    ],
)

def create_image_deps():
    """Declares the repositories that @create_image's targets need."""
    python_rules(
        name = "create_image_python",
        rules_python = False,
    )
    pip_packages(
        name = "create_image_packages",
        requirements = "@create_image//:requirements.txt",
    )

    # Fetched only where create_image's own tests are built.
    pip_packages(
        name = "create_image_test_packages",
        requirements = "@create_image//:requirements-test.txt",
    )
