# SPDX-License-Identifier: Apache-2.0
"""Container image archives, which `docker load` reads.

Files, layers, configurations and image archives come in; one archive goes out. Each program in
the directory above uses the wings of this package, and a wing uses only wings above it:

    system     the process and its files
    tar        tar streams
    image      the formats of images, and images that are there
    checks     what may be wrong with any image
    layer      a layer from files
    configure  a configuration from a base and flags
    create     an image from parts
    join       one archive from several
    compose    an image from files, by layer, configure and create

Three hard problems shape the code. The same input gives the same bytes everywhere, so everything
that is written is computed here, down to the last header. An output appears whole or not at all,
so it is written beside its path and renamed. And clients read one archive differently, so what
they disagree on is found before it is written: headers, links, names and JSON are parsed here, as
strictly as by them.
"""

VERSION = '2.0.0'
