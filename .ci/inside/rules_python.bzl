# SPDX-License-Identifier: Apache-2.0
"""A stand-in for today's rules_python, which calls no rule of Bazel's own, as Debian's does."""

_PROGRAM = """#!/bin/sh
runfiles="$0.runfiles"
PYTHONPATH=$(printf '%s:' "$runfiles"/*)
export PYTHONPATH
exec python3 "$runfiles/{main}" "$@"
"""

def _files(ctx):
    files = ctx.runfiles(files = ctx.files.srcs + ctx.files.data)
    return files.merge_all([dep[DefaultInfo].default_runfiles for dep in ctx.attr.deps])

def _library(ctx):
    return DefaultInfo(runfiles = _files(ctx))

def _program(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    main = ctx.file.main or ctx.files.srcs[0]
    path = "{}/{}".format(ctx.workspace_name, main.short_path)
    ctx.actions.write(program, _PROGRAM.format(main = path), is_executable = True)
    return DefaultInfo(executable = program, runfiles = _files(ctx))

_ATTRIBUTES = {
    "data": attr.label_list(allow_files = True),
    "deps": attr.label_list(),
    "imports": attr.string_list(),
    "legacy_create_init": attr.int(),
    "main": attr.label(allow_single_file = True),
    "srcs": attr.label_list(allow_files = True),
}
py_library = rule(implementation = _library, attrs = _ATTRIBUTES)
py_binary = rule(implementation = _program, attrs = _ATTRIBUTES, executable = True)
py_test = rule(implementation = _program, attrs = _ATTRIBUTES, test = True)
