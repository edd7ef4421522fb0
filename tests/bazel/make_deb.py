# SPDX-License-Identifier: Apache-2.0
"""Writes a Debian package with one file.

Usage: make_deb.py OUTPUT
"""

import io
import sys
import tarfile


def data() -> bytes:
    """Returns the archive of the package's files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w', format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo('./usr/share/it')
        member.size = 4
        member.mode = 0o604
        tar.addfile(member, io.BytesIO(b'six\n'))
    return stream.getvalue()


def main() -> None:
    """Writes the package, an ar archive."""
    with open(sys.argv[1], 'wb') as file:
        file.write(b'!<arch>\n')
        for name, content in [('debian-binary', b'2.0\n'), ('data.tar', data())]:
            header = f'{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n'
            file.write(header.encode('ascii') + content + b'\n' * (len(content) % 2))


main()
