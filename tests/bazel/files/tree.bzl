# SPDX-License-Identifier: Apache-2.0
"""A rule whose output is a directory, with a file in it and a link to that."""

def _tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [tree],
        command = "cd $1 && echo three > c.txt && mkdir d && ln -s ../c.txt d/link",
        arguments = [tree.path],
    )
    return DefaultInfo(files = depset([tree]))

tree = rule(
    implementation = _tree_impl,
    doc = "A directory NAME with c.txt, and the link d/link to that.",
)
