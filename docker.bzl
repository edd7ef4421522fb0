# SPDX-License-Identifier: Apache-2.0
"""Rules that build images: docker_build an image, docker_bundle an archive of several."""

DockerImageInfo = provider(
    doc = "An image that docker_build makes.",
    fields = {
        "archive": "File: the whole image, as `docker load` reads it.",
        "base": "File: the archive of the image below; None without one.",
        "config": "File: the configuration.",
        "digest": "File: the digest of the OCI manifest, `sha256:` and 64 hex digits; None " +
                  "without `oci`.",
        "id": "File: the identifier of the image, the SHA-256 of the configuration.",
        "layers": "List of structs: the image's own layers, bottom layer first. `id` is a File " +
                  "with the layer's diff ID, `file` the layer.",
        "oci": "Whether the archive is an OCI image layout as well.",
    },
)

# The flags of the programs, in a file with one on each line.

def _new_arguments(ctx):
    arguments = ctx.actions.args()
    arguments.use_param_file("--flagfile=%s", use_always = True)
    arguments.set_param_file_format("multiline")
    return arguments

def _check_text(attribute, text):
    """Fails for what a line of a file of flags cannot hold."""
    if "\n" in text or "\r" in text:
        fail("%s: %r has a newline: give one line" % (attribute, text))
    if text != text.rstrip():
        fail("%s: %r ends in a blank: leave it out" % (attribute, text))
    if [character for character in text.elems() if character > "~"]:
        fail("%s: %r is not ASCII: give another one" % (attribute, text))

def _text_flag(attribute, text):
    """Returns the flag of the same name in a list, which is empty without a text."""
    if not text:
        return []
    _check_text(attribute, text)
    return ["--{}={}".format(attribute, text)]

def _list_flag(flag, texts):
    """Returns a flag with a JSON list in a list, which is empty without texts."""
    return ["--{}={}".format(flag, json.encode(texts))] if texts else []

def _pairs(attribute, values):
    """Returns NAME=VALUE for each item of a dictionary."""
    for name in values:
        if not name or "=" in name:
            fail("%s: %r is no name: give one without =" % (attribute, name))
    return ["{}={}".format(name, value) for name, value in values.items()]

# The actions.

def _write_sha256(ctx, source, output):
    ctx.actions.run(
        outputs = [output],
        inputs = [source],
        executable = ctx.executable._sha256,
        arguments = [source.path, output.path],
        mnemonic = "ImageSha256",
        progress_message = "Hashing " + source.short_path,
        use_default_shell_env = True,
    )

def _write_flags(ctx):
    """Returns a File with the flags that say what the configuration has of its own."""

    # The programs take @ at the beginning for a file, and $ for a variable.
    labels = {
        name: "@" + value if value.startswith("@") else value
        for name, value in ctx.attr.labels.items()
    }
    env = {name: value.replace("$", "\\$") for name, value in ctx.attr.env.items()}
    flags = (
        _list_flag("entrypoint", ctx.attr.entrypoint) +
        _list_flag("command", ctx.attr.cmd) +
        _list_flag("env", _pairs("env", env)) +
        _list_flag("labels", _pairs("labels", labels)) +
        _list_flag("ports", ctx.attr.ports) +
        _list_flag("volumes", ctx.attr.volumes) +
        _text_flag("user", ctx.attr.user) +
        _text_flag("workdir", ctx.attr.workdir) +
        _text_flag("architecture", ctx.attr.architecture)
    )

    # Not by Args: in their files Bazel 4.2 encodes what is not ASCII twice.
    file = ctx.actions.declare_file(ctx.label.name + ".flags")
    ctx.actions.write(file, "".join([flag + "\n" for flag in flags]))
    return file

def _write_config(ctx, output, base, layers):
    flags = _write_flags(ctx)
    arguments = _new_arguments(ctx)
    arguments.add(output, format = "--output=%s")
    if base:
        arguments.add(base, format = "--base=%s")
    for layer in layers:
        arguments.add(layer.id, format = "--layer=@%s")
    arguments.add(flags, format = "--flagfile=%s")
    ctx.actions.run(
        outputs = [output],
        inputs = [flags] + [layer.id for layer in layers] + ([base] if base else []),
        executable = ctx.executable._create_image_config,
        arguments = [arguments],
        mnemonic = "ImageConfig",
        progress_message = "Configuring image " + str(ctx.label),
        use_default_shell_env = True,
    )

def _write_archive(ctx, output, image, tags, partial = False, digest = None):
    """Writes the archive of an image.

    Args:
      ctx: of the rule.
      output: the File to write.
      image: the DockerImageInfo of the image.
      tags: (attribute, tag) for each of its tags.
      partial: whether it lacks the layers of the base.
      digest: the File to write the digest of the OCI manifest to.
    """
    inputs = [image.config, image.id]
    outputs = [output]
    arguments = _new_arguments(ctx)
    arguments.add(output, format = "--output=%s")
    arguments.add(image.config, format = "--config=%s")
    arguments.add(image.id, format = "--id=@%s")
    for layer in image.layers:
        inputs += [layer.id, layer.file]
        arguments.add("--layer=@{}={}".format(layer.id.path, layer.file.path))
    for attribute, tag in tags:
        _check_text(attribute, tag)
        arguments.add("--tag=" + tag)
    if image.base:
        inputs.append(image.base)
        arguments.add(image.base, format = "--base=%s")
        if not partial:
            arguments.add(image.base, format = "--legacy_base=%s")
    if image.oci:
        arguments.add("--oci")
    if digest:
        outputs.append(digest)
        arguments.add(digest, format = "--digest_file=%s")
    arguments.add("--verify")
    ctx.actions.run(
        outputs = outputs,
        inputs = inputs,
        executable = ctx.executable._create_image,
        arguments = [arguments],
        mnemonic = "ImageArchive",
        progress_message = "Assembling image " + str(ctx.label),
        use_default_shell_env = True,
    )

# What `bazel run` runs: by itself, and as a file of another program.
_LOADER = """\
#!/bin/sh
# Has a container client load an archive; arguments are more of its flags.
if [ -d "$0.runfiles" ]; then
    runfiles=$0.runfiles
else
    runfiles=${{RUNFILES_DIR:-${{0%%.runfiles/*}}.runfiles}}
fi
exec docker load --input="$runfiles"/{archive} "$@"
"""

def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _loaded(ctx, archive):
    """Returns a DefaultInfo of an archive that `bazel run` loads."""
    path = ctx.workspace_name + "/" + archive.short_path
    if archive.short_path.startswith("../"):  # of another repository
        path = archive.short_path[len("../"):]
    loader = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(loader, _LOADER.format(archive = _quoted(path)), is_executable = True)
    return DefaultInfo(
        executable = loader,
        files = depset([archive]),
        runfiles = ctx.runfiles(files = [archive]),
    )

# The rules.

def _hashed_layers(ctx):
    layers = []
    for file in ctx.files.layers:
        name = "{}.layer-{}.sha256".format(ctx.label.name, len(layers) + 1)
        identifier = ctx.actions.declare_file(name)
        if "=" in identifier.path:  # which the flag --layer has behind the identifier
            fail("name: %r has a = in its path: leave it out" % ctx.label.name)
        _write_sha256(ctx, file, identifier)
        layers.append(struct(id = identifier, file = file))
    return layers

def _base_archive(ctx):
    if ctx.attr.base and DockerImageInfo in ctx.attr.base:
        return ctx.attr.base[DockerImageInfo].archive
    return ctx.file.base

def _docker_build_impl(ctx):
    name = ctx.label.name
    base = _base_archive(ctx)
    if ctx.attr.partial and not base:
        fail("partial: without a base every image is whole: give a base")
    image = DockerImageInfo(
        archive = ctx.actions.declare_file(name + ".tar"),
        base = base,
        config = ctx.actions.declare_file(name + ".json"),
        digest = ctx.actions.declare_file(name + ".digest") if ctx.attr.oci else None,
        id = ctx.actions.declare_file(name + ".sha256"),
        layers = _hashed_layers(ctx),
        oci = ctx.attr.oci,
    )
    tags = [("repo_tags", tag) for tag in ctx.attr.repo_tags]
    _write_config(ctx, image.config, base, image.layers)
    _write_sha256(ctx, image.config, image.id)
    archive = image.archive
    if ctx.attr.partial:
        archive = ctx.actions.declare_file(name + ".partial.tar")
        _write_archive(ctx, archive, image, tags, partial = True, digest = image.digest)
        _write_archive(ctx, image.archive, image, tags)
    else:
        _write_archive(ctx, archive, image, tags, digest = image.digest)
    return [
        _loaded(ctx, archive),
        OutputGroupInfo(
            archive = depset([image.archive]),
            config = depset([image.config]),
            digest = depset([image.digest] if image.digest else []),
            id = depset([image.id]),
        ),
        image,
    ]

def _program(label):
    return attr.label(
        cfg = "exec",
        default = Label(label),
        executable = True,
    )

_CREATE_IMAGE = {"_create_image": _program("//:create_image")}

docker_build = rule(
    implementation = _docker_build_impl,
    attrs = dict(
        _CREATE_IMAGE,
        architecture = attr.string(
            doc = "The architecture, as Go calls it; the base's by default, else amd64.",
        ),
        base = attr.label(
            allow_single_file = True,
            doc = "The image below: a docker_build, or an image archive as `docker save` and " +
                  "others write it.",
        ),
        cmd = attr.string_list(
            doc = "The arguments of the entrypoint, or the command where there is none.",
        ),
        entrypoint = attr.string_list(
            doc = "The program that a container runs, in place of the base's program and `cmd`.",
        ),
        env = attr.string_dict(
            doc = "Variables, added to the base's. A `$` is nothing special.",
        ),
        labels = attr.string_dict(
            doc = "Labels, added to the base's. An `@` is nothing special.",
        ),
        layers = attr.label_list(
            allow_files = True,
            doc = "The image's own layers, tar archives, bottom layer first.",
        ),
        oci = attr.bool(
            doc = "Write an OCI image layout as well, in the same archive.",
        ),
        partial = attr.bool(
            doc = "Let the target's file lack the layers of `base`, for a Docker that has them.",
        ),
        ports = attr.string_list(
            doc = "Ports that a container listens on, like `80`, `80/tcp` or `53/udp`.",
        ),
        repo_tags = attr.string_list(
            doc = "The tags of the image, repository:tag.",
        ),
        user = attr.string(
            doc = "The user that a container runs as.",
        ),
        volumes = attr.string_list(
            doc = "Directories that are volumes.",
        ),
        workdir = attr.string(
            doc = "The working directory of a container, an absolute path.",
        ),
        _create_image_config = _program("//:create_image_config"),
        _sha256 = _program("//tools:sha256"),
    ),
    doc = "Builds an image from layers, on a base or on none. `bazel run` loads it.",
    executable = True,
)

def _docker_bundle_impl(ctx):
    archives = []
    for target, tags in ctx.attr.image_tags.items():
        name = "{}.image-{}.tar".format(ctx.label.name, len(archives) + 1)
        archive = ctx.actions.declare_file(name)
        tags = [("images", tag) for tag in tags.split(" ")]
        _write_archive(ctx, archive, target[DockerImageInfo], tags)
        archives.append(archive)
    bundle = ctx.actions.declare_file(ctx.label.name + ".tar")
    arguments = _new_arguments(ctx)
    arguments.add(bundle, format = "--output=%s")
    arguments.add_all(archives, format_each = "--layer=%s")
    arguments.add("--verify")
    ctx.actions.run(
        outputs = [bundle],
        inputs = archives,
        executable = ctx.executable._join_layers,
        arguments = [arguments],
        mnemonic = "ImageBundle",
        progress_message = "Joining images of " + str(ctx.label),
        use_default_shell_env = True,
    )
    return [
        _loaded(ctx, bundle),
        OutputGroupInfo(archive = depset([bundle])),
    ]

_docker_bundle = rule(
    implementation = _docker_bundle_impl,
    attrs = dict(
        _CREATE_IMAGE,
        image_tags = attr.label_keyed_string_dict(
            allow_empty = False,
            doc = "The tags of each image, with a blank between two.",
            mandatory = True,
            providers = [DockerImageInfo],
        ),
        _join_layers = _program("//:join_layers"),
    ),
    doc = "Joins the images of docker_build in one archive. `bazel run` loads it.",
    executable = True,
)

def docker_bundle(name, images, **kwargs):
    """Joins images in one archive, which `bazel run` loads.

    Args:
      name: the name of the target.
      images: {tag: label}: docker_build targets by the tags that they get here, in place of
        their own `repo_tags`.
      **kwargs: what every rule takes, like visibility.
    """
    image_tags = {}
    for tag, label in images.items():
        if " " in tag:
            fail("images: %r has a blank: give repository:tag" % tag)
        image_tags.setdefault(label, []).append(tag)
    _docker_bundle(
        name = name,
        image_tags = {label: " ".join(tags) for label, tags in image_tags.items()},
        **kwargs
    )
