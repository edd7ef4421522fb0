# SPDX-License-Identifier: Apache-2.0
"""Rules that build images: docker_build an image, docker_bundle an archive of several."""

load("//tools:tags.bzl", "is_tag")

DockerImageInfo = provider(
    doc = "An image that docker_build makes.",
    fields = {
        "archive": "File: the whole image, as `docker load` reads it.",
        "archive_flags": "List of the flags that each archive of the image is written with.",
        "base": "File: the archive of the image below; None without one.",
        "base_flags": "List of the flags that choose the image below; empty without one.",
        "config": "File: the configuration.",
        "digest": "File: the digest of the OCI manifest, `sha256:` and 64 hex digits; None " +
                  "without `oci`.",
        "id": "File: the identifier of the image, the SHA-256 of the configuration.",
        "layers": "List of structs: the image's own layers, bottom layer first. `id` is a File " +
                  "with the layer's diff ID, `file` the layer.",
        "oci": "Whether the archive is an OCI image layout as well.",
        "partial": "File: the archive without the layers of `base`.",
    },
)

# Flags, in lists that are empty where nothing is given. A file has one on each line.

def _flags(flag, attribute, texts):
    """Returns a flag for each text."""
    for text in texts:
        if "\n" in text or "\r" in text:
            fail("%s: %r has a newline: give one line" % (attribute, text))
        if text != text.rstrip():
            fail("%s: %r ends in a blank: leave it out" % (attribute, text))
    return ["--{}={}".format(flag, text) for text in texts]

def _text_flag(attribute, text):
    """Returns the flag that is called like the attribute."""
    return _flags(attribute, attribute, [text] if text else [])

def _list_flag(flag, texts):
    """Returns a flag with a JSON list, which may have any text."""
    return ["--{}={}".format(flag, json.encode(texts))] if texts else []

def _file_flags(flag, files):
    return ["--{}={}".format(flag, file.path) for file in files]

def _pairs(attribute, values):
    """Returns NAME=VALUE for each item of a dictionary."""
    for name in values:
        if not name or "=" in name:
            fail("%s: %r is no name: give one without =" % (attribute, name))
    return ["{}={}".format(name, value) for name, value in values.items()]

def _run(ctx, program, what, flags, inputs, outputs):
    """Runs a program.

    Args:
      ctx: of the rule.
      program: the name of the program.
      what: what it does, for messages.
      flags: its flags.
      inputs: Files that it reads.
      outputs: Files that it writes; the flags are in a file beside the first.
    """
    file = ctx.actions.declare_file(outputs[0].basename + ".flags", sibling = outputs[0])

    # Not by Args: in their files Bazel 4.2 encodes what is not ASCII twice.
    ctx.actions.write(file, "".join([flag + "\n" for flag in flags]))
    ctx.actions.run(
        outputs = outputs,
        inputs = inputs + [file],
        executable = getattr(ctx.executable, "_" + program),
        arguments = ["--flagfile=" + file.path],
        mnemonic = "".join([word.capitalize() for word in program.split("_")]),
        progress_message = "{} {}".format(what, ctx.label),
        use_default_shell_env = True,
    )

def _run_tool(ctx, tool, what, arguments, inputs, output):
    """Runs a program of //tools, which writes one file and is given its path last."""
    ctx.actions.run(
        outputs = [output],
        inputs = inputs,
        executable = getattr(ctx.executable, "_" + tool),
        arguments = arguments + [output.path],
        mnemonic = "Image" + "".join([word.capitalize() for word in tool.split("_")]),
        progress_message = "{} {}".format(what, ctx.label),
        use_default_shell_env = True,
    )

# The layer of the files.

def _directory_of(path):
    return path.rpartition("/")[0]

def _join(directory, path):
    return directory + "/" + path if directory else path

def _path_of(file):
    """Returns the path of a file in its repository."""
    if file.short_path.startswith("../"):
        return file.short_path.split("/", 2)[2]
    return file.short_path

def _destination(file, package, data_path):
    """Returns the path of a file in the layer, as `data_path` asks for it.

    Args:
      file: the File.
      package: the package of the rule.
      data_path: the attribute; empty if it is not given.
    """
    path = _path_of(file)
    if not data_path:
        return file.basename
    if data_path.startswith("/"):
        prefix = data_path
    else:
        prefix = _join(package, data_path)
    parts = [part for part in prefix.split("/") if part not in ["", "."]]
    if ".." in parts:
        fail("data_path: %r has a ..: give a path below" % data_path)
    if file.is_directory and path.split("/") == parts:
        return "/"
    prefix = "".join([part + "/" for part in parts])
    if path.startswith(prefix):
        return path[len(prefix):]
    return path

def _file_sources(ctx):
    """Returns SOURCE=DESTINATION for each of the files."""
    sources = []
    for file in ctx.files.files:
        if "=" in file.path:
            fail("files: %r has a = in its path: rename it" % file.path)
        destination = _destination(file, ctx.label.package, ctx.attr.data_path)
        sources.append("{}={}".format(file.path, destination))
    return sources

def _packages(ctx):
    """Returns the Debian packages; rules that build one may have more files beside it."""
    return [file for file in ctx.files.debs if file.extension in ["deb", "udeb"]]

def _links(symlinks):
    for path in symlinks:
        if ":" in path:
            fail("symlinks: %r has a colon: give a path without one" % path)
    return ["{}:{}".format(path, target) for path, target in symlinks.items()]

def _content_flags(ctx):
    """Returns the flags that say what is in the layer of the files."""
    return (
        _flags("file", "files", _file_sources(ctx)) +
        _flags("empty_dir", "empty_dirs", ctx.attr.empty_dirs) +
        _flags("empty_file", "empty_files", ctx.attr.empty_files) +
        _file_flags("tar", ctx.files.tars) +
        _file_flags("deb", _packages(ctx)) +
        _flags("link", "symlinks", _links(ctx.attr.symlinks)) +
        _flags("delete", "delete", ctx.attr.delete)
    )

def _build_layer(ctx, base, base_flags, lower):
    """Builds the layer of the files.

    Args:
      ctx: of the rule.
      base: the File of the base; None without one.
      base_flags: the flags that choose it.
      lower: the Files of the layers between the base and this one.

    Returns:
      The layer, in a list that is empty if no file is given.
    """
    content = _content_flags(ctx)
    if not content:
        return []
    knows_base = base and ctx.attr.keep_base_directories
    if ctx.attr.delete and not knows_base:
        reason = "keep_base_directories is False" if base else "there is no base"
        fail("delete: only files of a base can be deleted, but %s" % reason)
    flags = content + (
        _text_flag("directory", ctx.attr.directory) +
        _text_flag("mode", ctx.attr.mode) +
        _flags("modes", "modes", _path_values(ctx.attr.modes)) +
        _text_flag("owner", ctx.attr.owner) +
        _flags("owners", "owners", _path_values(ctx.attr.owners)) +
        _text_flag("mtime", ctx.attr.mtime) +
        (["--follow_links"] if ctx.attr.follow_links else [])
    )
    inputs = ctx.files.files + ctx.files.tars + _packages(ctx)
    if knows_base:
        flags += base_flags + _file_flags("lower", lower)
        inputs = inputs + [base] + lower
    layer = struct(
        file = ctx.actions.declare_file(ctx.label.name + ".files.tar"),
        id = ctx.actions.declare_file(ctx.label.name + ".files.sha256"),
    )
    flags += _file_flags("output", [layer.file]) + _file_flags("id_file", [layer.id])
    _run(ctx, "build_tar", "Packing files of", flags, inputs, [layer.file, layer.id])
    return [layer]

def _path_values(values):
    return ["{}={}".format(path, value) for path, value in values.items()]

# The configuration.

def _write_sha256(ctx, source, output):
    _run_tool(ctx, "sha256", "Hashing parts of", [source.path], [source], output)

def _label_pairs(ctx):
    """Returns NAME=VALUE for each label; create_image_config reads @FILE, and @@ as a plain @."""
    labels = dict(ctx.attr.labels)
    for name, value in labels.items():
        if value.startswith("@") and not value.startswith("@@"):
            fail("labels: %r has no target in a select(): give labels by a dictionary" % value)
    for target, names in ctx.attr.label_files.items():
        files = target.files.to_list()
        if len(files) != 1:
            fail("labels: %s has %d files: give a target of one" % (target.label, len(files)))
        for name in json.decode(names):
            labels[name] = "@" + files[0].path
    return _pairs("labels", labels)

def _write_config(ctx, output, base, base_flags, layers):
    flags = (
        _file_flags("output", [output]) +
        base_flags +
        ["--layer=@" + layer.id.path for layer in layers] +
        _list_flag("entrypoint", ctx.attr.entrypoint) +
        _list_flag("command", ctx.attr.cmd) +
        _list_flag("env", _pairs("env", ctx.attr.env)) +
        _list_flag("labels", _label_pairs(ctx)) +
        _list_flag("ports", ctx.attr.ports) +
        _list_flag("volumes", ctx.attr.volumes) +
        _list_flag("remove_env", ctx.attr.remove_env) +
        _list_flag("remove_labels", ctx.attr.remove_labels) +
        _list_flag("remove_ports", ctx.attr.remove_ports) +
        _list_flag("remove_volumes", ctx.attr.remove_volumes) +
        _text_flag("healthcheck", ctx.attr.healthcheck) +
        _text_flag("user", ctx.attr.user) +
        _text_flag("workdir", ctx.attr.workdir) +
        _text_flag("architecture", ctx.attr.architecture)
    )
    if not base:
        flags += _text_flag("platform", ctx.attr.platform)
    inputs = [layer.id for layer in layers] + ctx.files.label_files + ([base] if base else [])
    _run(ctx, "create_image_config", "Configuring image", flags, inputs, [output])

# The archives.

def _tag_flags(ctx):
    """Returns the flags of the image's tags: `repo_tags`, or else one by its label."""
    if ctx.attr.repo_tags or not ctx.attr.repository:
        return _flags("tag", "repo_tags", ctx.attr.repo_tags)
    repository = ctx.attr.repository
    if ctx.label.package:
        repository += "/" + ctx.label.package.replace("/", "_")
    if not is_tag(repository, ctx.label.name):
        return []
    return _flags("tag", "repository", ["{}:{}".format(repository, ctx.label.name)])

def _write_archive(ctx, output, image, tag_flags, partial = False, digest = None):
    """Writes the archive of an image.

    Args:
      ctx: of the rule.
      output: the File to write.
      image: the DockerImageInfo of the image.
      tag_flags: the flags of its tags.
      partial: whether it lacks the layers of the base. Then it is an OCI image layout, too: most
        clients complete nothing else.
      digest: the File to write the digest of the OCI manifest to.
    """
    inputs = [image.config, image.id]
    outputs = [output]
    flags = (
        _file_flags("output", [output]) +
        _file_flags("config", [image.config]) +
        ["--id=@" + image.id.path] +
        tag_flags +
        image.base_flags +
        image.archive_flags
    )
    for layer in image.layers:
        inputs += [layer.id, layer.file]
        flags.append("--layer=@{}={}".format(layer.id.path, layer.file.path))
    if image.base:
        inputs.append(image.base)
        if not partial:
            flags += _file_flags("legacy_base", [image.base])
    if image.base and partial and not image.oci:
        flags.append("--oci")
    if digest:
        outputs.append(digest)
        flags += _file_flags("digest_file", [digest])
    flags.append("--verify")
    _run(ctx, "create_image", "Assembling image", flags, inputs, outputs)

# What `bazel run` runs: by itself, and as a file of another program.
_RUN = """\
#!/bin/sh
# Has a container client load {what}; DOCKER names the client.
if [ -d "$0.runfiles" ]; then
    runfiles=$0.runfiles
else
    runfiles=${{RUNFILES_DIR:-${{0%%.runfiles/*}}.runfiles}}
fi
exec {command} "$@"
"""

def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _runfile(ctx, file):
    """Returns the path of a file among the runfiles, for the shell; an empty one without a file."""
    if not file:
        return "''"
    path = ctx.workspace_name + "/" + file.short_path
    if file.short_path.startswith("../"):  # of another repository
        path = file.short_path[len("../"):]
    return "\"$runfiles\"/" + _quoted(path)

def _runnable(ctx, what, command, files, runfiles):
    """Returns a DefaultInfo of files that `bazel run` loads."""
    loader = ctx.actions.declare_file(ctx.label.name)
    content = _RUN.format(command = command, what = what)
    ctx.actions.write(loader, content, is_executable = True)
    return DefaultInfo(
        executable = loader,
        files = depset(files),
        runfiles = ctx.runfiles(files = runfiles),
    )

def _loaded(ctx, image):
    """Returns a DefaultInfo of an image of which `bazel run` loads what the client lacks."""
    script = ctx.file._load_image
    runfiles = [script, image.archive]
    partial = None
    known = None
    if image.base:
        partial = image.partial
        known = ctx.actions.declare_file(ctx.label.name + ".base")
        files = [image.base, image.partial, image.config]
        arguments = [str(len(image.layers))] + [file.path for file in files]
        _run_tool(ctx, "describe_base", "Describing base of", arguments, files, known)
        runfiles += [partial, known]
    command = ["sh", _runfile(ctx, script), _quoted(ctx.label.name)]
    command += [_runfile(ctx, file) for file in [image.archive, partial, known]]
    chosen = image.partial if ctx.attr.partial else image.archive
    return _runnable(ctx, "an image", " ".join(command), [chosen], runfiles)

# The rules.

def _hashed_layers(ctx):
    layers = []
    for file in ctx.files.layers:
        name = "{}.layer-{}.sha256".format(ctx.label.name, len(layers) + 1)
        identifier = ctx.actions.declare_file(name)
        _write_sha256(ctx, file, identifier)
        layers.append(struct(id = identifier, file = file))
    return layers

def _base_archive(ctx):
    if ctx.attr.base and DockerImageInfo in ctx.attr.base:
        return ctx.attr.base[DockerImageInfo].archive
    return ctx.file.base

def _base_flags(ctx, base):
    """Returns the flags that choose the image below."""
    if base:
        return (
            _file_flags("base", [base]) +
            _text_flag("base_tag", ctx.attr.base_tag) +
            _text_flag("platform", ctx.attr.platform)
        )
    if ctx.attr.base_tag:
        fail("base_tag: only an image of a base is chosen: give a base")
    return []

def _archive_flags(ctx):
    """Returns the flags of an OCI image layout."""
    if ctx.attr.oci:
        return ["--oci"] + _list_flag("annotations", _pairs("annotations", ctx.attr.annotations))
    if ctx.attr.annotations:
        fail("annotations: only an OCI image layout has them: give oci = True")
    return []

def _docker_build_impl(ctx):
    name = ctx.label.name
    base = _base_archive(ctx)
    if ctx.attr.partial and not base:
        fail("partial: without a base every image is whole: give a base")
    if "=" in ctx.outputs.archive.path:  # which the flag --layer has behind the identifier
        fail("name: %r has a = in its path: leave it out" % name)
    base_flags = _base_flags(ctx, base)
    ready_made = _hashed_layers(ctx)
    lower = [layer.file for layer in ready_made]
    files_layer = _build_layer(ctx, base, base_flags, lower)
    image = DockerImageInfo(
        archive = ctx.outputs.archive,
        archive_flags = _archive_flags(ctx),
        base = base,
        base_flags = base_flags,
        config = ctx.actions.declare_file(name + ".json"),
        digest = ctx.actions.declare_file(name + ".digest") if ctx.attr.oci else None,
        id = ctx.actions.declare_file(name + ".sha256"),
        layers = ready_made + files_layer,
        oci = ctx.attr.oci,
        partial = ctx.outputs.partial_archive,
    )
    _write_config(ctx, image.config, base, base_flags, image.layers)
    _write_sha256(ctx, image.config, image.id)
    tag_flags = _tag_flags(ctx)
    _write_archive(ctx, image.partial, image, tag_flags, partial = True, digest = image.digest)
    _write_archive(ctx, image.archive, image, tag_flags)
    return [
        _loaded(ctx, image),
        OutputGroupInfo(
            archive = depset([image.archive]),
            config = depset([image.config]),
            digest = depset([image.digest] if image.digest else []),
            files = depset([layer.file for layer in files_layer]),
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

_docker_build = rule(
    implementation = _docker_build_impl,
    attrs = dict(
        _CREATE_IMAGE,
        annotations = attr.string_dict(
            doc = "With `oci`, annotations of the OCI manifest by name.",
        ),
        architecture = attr.string(
            doc = "The architecture, as Go calls it; the base's by default, else amd64.",
        ),
        archive = attr.output(
            doc = "NAME.tar, which the macro gives.",
            mandatory = True,
        ),
        base = attr.label(
            allow_single_file = True,
            doc = "The image below: a docker_build, or an image archive as `docker save` and " +
                  "others write it.",
        ),
        base_tag = attr.string(
            doc = "The tag of the image in `base`, where there are several.",
        ),
        cmd = attr.string_list(
            doc = "The arguments of the entrypoint, or the command where there is none.",
        ),
        data_path = attr.string(
            doc = "What is stripped from the paths of `files`; by default the directory of each.",
        ),
        debs = attr.label_list(
            allow_files = [".deb", ".udeb"],
            doc = "Debian packages whose files are merged into the layer.",
        ),
        delete = attr.string_list(
            doc = "Paths of the base to delete.",
        ),
        directory = attr.string(
            default = "/",
            doc = "The directory that files, tarballs and packages go into.",
        ),
        empty_dirs = attr.string_list(
            doc = "Empty directories.",
        ),
        empty_files = attr.string_list(
            doc = "Empty files.",
        ),
        entrypoint = attr.string_list(
            doc = "The program that a container runs, in place of the base's program and `cmd`.",
        ),
        env = attr.string_dict(
            doc = "Variables, added to the base's. $NAME stands for one that is set before.",
        ),
        files = attr.label_list(
            allow_files = True,
            doc = "Files for a new layer.",
        ),
        follow_links = attr.bool(
            default = True,
            doc = "Store links in directories of `files` as what they lead to.",
        ),
        healthcheck = attr.string(
            doc = "The health check, a JSON object; [] removes the base's.",
        ),
        keep_base_directories = attr.bool(
            default = True,
            doc = "Let the new layer leave the base's directories and links as they are.",
        ),
        label_files = attr.label_keyed_string_dict(
            allow_files = True,
            doc = "A JSON list of labels by the file of their values, which the macro gives.",
        ),
        labels = attr.string_dict(
            doc = "Labels, added to the base's. `@target` is the text of that target's file.",
        ),
        layers = attr.label_list(
            allow_files = True,
            doc = "Layers that are there, tar archives, bottom layer first.",
        ),
        mode = attr.string(
            default = "0555",
            doc = "The mode of `files`; empty for one by their own: executable or not.",
        ),
        modes = attr.string_dict(
            doc = "Modes by path.",
        ),
        mtime = attr.string(
            doc = "The time of all files, in seconds since 1970 or in RFC 3339.",
        ),
        oci = attr.bool(
            doc = "Write an OCI image layout as well, in the same archive.",
        ),
        owner = attr.string(
            doc = "The owner of files and links, UID.GID.",
        ),
        owners = attr.string_dict(
            doc = "Owners by path, UID.GID.",
        ),
        partial = attr.bool(
            doc = "Let the target's file lack the layers of `base`, for a Docker that has them.",
        ),
        partial_archive = attr.output(
            doc = "NAME-layer.tar, which the macro gives.",
            mandatory = True,
        ),
        platform = attr.string(
            doc = "The platform, like linux/arm64, and with `base` the image of that platform.",
        ),
        ports = attr.string_list(
            doc = "Ports that a container listens on, like `80`, `80/tcp` or `53/udp`.",
        ),
        remove_env = attr.string_list(
            doc = "Variables of the base to remove; * removes all.",
        ),
        remove_labels = attr.string_list(
            doc = "Labels of the base to remove; * removes all.",
        ),
        remove_ports = attr.string_list(
            doc = "Ports of the base to remove; * removes all.",
        ),
        remove_volumes = attr.string_list(
            doc = "Volumes of the base to remove; * removes all.",
        ),
        repo_tags = attr.string_list(
            doc = "The tags of the image, repository:tag.",
        ),
        repository = attr.string(
            default = "bazel",
            doc = "Without `repo_tags` the image has the tag REPOSITORY/PACKAGE:NAME.",
        ),
        symlinks = attr.string_dict(
            doc = "Symbolic links: target by path.",
        ),
        tars = attr.label_list(
            allow_files = True,
            doc = "Tar archives that are merged into the layer.",
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
        _build_tar = _program("//:build_tar"),
        _create_image_config = _program("//:create_image_config"),
        _describe_base = _program("//tools:describe_base"),
        _load_image = attr.label(
            allow_single_file = True,
            default = Label("//tools:load_image.sh"),
        ),
        _sha256 = _program("//tools:sha256"),
    ),
    doc = "Builds an image from files and layers, on a base or on none. `bazel run` loads it.",
    executable = True,
)

def _absolute(label):
    """Returns a label of this repository in one spelling of several."""
    if not label.startswith("//"):
        return "//{}:{}".format(native.package_name(), label.lstrip(":"))
    if ":" not in label:
        return "{}:{}".format(label, label.rpartition("/")[2])
    return label

def _label_files(labels):
    """Returns the names of the labels that are in files, as JSON by those files."""
    names = {}
    for name, value in labels.items():
        if value == "@":
            fail("labels: @ names no target: give @TARGET, or @@ for a plain @")
        if value.startswith("@") and not value.startswith("@@"):
            names.setdefault(_absolute(value[1:]), []).append(name)
    return {file: json.encode(names[file]) for file in names}

def _command(value):
    """Returns a command as a list; a text is one for the shell."""
    if type(value) != "string":
        return value
    return ["/bin/sh", "-c", value] if value else []

def _healthcheck(value):
    """Returns a health check as JSON."""
    return json.encode(value) if type(value) in ["dict", "list"] else value

def docker_build(
        name,
        cmd = None,
        entrypoint = None,
        healthcheck = None,
        labels = None,
        **kwargs):
    """Builds an image from files and layers, which `bazel run` loads.

    Args:
      name: the name of the target. Its files are NAME.tar, the whole image, and NAME-layer.tar,
        the image without the layers of its base.
      cmd: the arguments of the entrypoint, or the command where there is none; a list, or a text
        for /bin/sh.
      entrypoint: the program that a container runs; a list, or a text for /bin/sh.
      healthcheck: the health check; a dictionary, or the same as JSON. [] removes the base's.
      labels: labels by name. `@target` is the text of that target's file, `@@` a plain `@`.
      **kwargs: the other attributes, which docs/bazel-rules.md lists.
    """
    label_files = {}
    if type(labels) == "dict":
        label_files = _label_files(labels)
        labels = {
            label: value
            for label, value in labels.items()
            if not value.startswith("@") or value.startswith("@@")
        }
    _docker_build(
        name = name,
        archive = name + ".tar",
        cmd = _command(cmd),
        entrypoint = _command(entrypoint),
        healthcheck = _healthcheck(healthcheck),
        label_files = label_files,
        labels = labels,
        partial_archive = name + "-layer.tar",
        **kwargs
    )

def _docker_bundle_impl(ctx):
    archives = []
    for target, tags in ctx.attr.image_tags.items():
        name = "{}.image-{}.tar".format(ctx.label.name, len(archives) + 1)
        archive = ctx.actions.declare_file(name)
        tag_flags = _flags("tag", "images", tags.split(" "))
        _write_archive(ctx, archive, target[DockerImageInfo], tag_flags)
        archives.append(archive)
    bundle = ctx.actions.declare_file(ctx.label.name + ".tar")
    flags = _file_flags("output", [bundle]) + _file_flags("layer", archives) + ["--verify"]
    _run(ctx, "join_layers", "Joining images of", flags, archives, [bundle])
    command = "\"${DOCKER:-docker}\" load --input=" + _runfile(ctx, bundle)
    return [
        _runnable(ctx, "an archive", command, [bundle], [bundle]),
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
