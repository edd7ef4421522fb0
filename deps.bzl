# SPDX-License-Identifier: Apache-2.0
"""What create_image needs from PyPI, for WORKSPACE files."""

_BUILD = """
py_library(
    name = "packages",
    srcs = glob(["packages/**/*.py"]),
    imports = ["packages"],
    srcs_version = "PY3",
    visibility = ["//visibility:public"],
)
"""

def _pip_packages_impl(repository_ctx):
    # pip's own settings hold: an index or a folder of wheels, by PIP_* or pip.conf.
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
    pip_packages(
        name = "create_image_packages",
        requirements = "@create_image//:requirements.txt",
    )

    # Fetched only where create_image's own tests are built.
    pip_packages(
        name = "create_image_test_packages",
        requirements = "@create_image//:requirements-test.txt",
    )
