# SPDX-License-Identifier: Apache-2.0
"""Writes a program that prints a greeting: a static x86-64 Linux ELF executable.

Usage: make_hello.py FILE. Layout and field names are those of elf(5); the system calls
those of the Linux x86-64 ABI: number in rax, arguments in rdi, rsi, rdx.
"""

import pathlib
import struct
import sys

GREETING = b'Hello from an image made by create_image.\n'
ADDRESS = 0x400000  # where the file is mapped
HEADERS = 64 + 56  # bytes of the ELF header and of the one program header

# 31 bytes of code; the greeting lies right behind them.
CODE = (
    b'\xb8\x01\x00\x00\x00'  # mov eax, 1        write(
    b'\xbf\x01\x00\x00\x00'  # mov edi, 1          standard output,
    b'\xbe' + struct.pack('<I', ADDRESS + HEADERS + 31)  # mov esi  the greeting,
    + b'\xba' + struct.pack('<I', len(GREETING))  # mov edx             its length)
    + b'\x0f\x05'  # syscall
    b'\xb8\x3c\x00\x00\x00'  # mov eax, 60       exit(
    b'\x31\xff'  # xor edi, edi        0)
    b'\x0f\x05'  # syscall
)  # fmt: skip
SIZE = HEADERS + len(CODE) + len(GREETING)

ELF_HEADER = struct.pack(
    '<16sHHIQQQIHHHHHH',
    b'\x7fELF\x02\x01\x01',  # 64 bit, little endian, version 1
    2,  # e_type: executable
    62,  # e_machine: x86-64
    1,  # e_version
    ADDRESS + HEADERS,  # e_entry
    64,  # e_phoff
    0,  # e_shoff: no sections
    0,  # e_flags
    64,  # e_ehsize
    56,  # e_phentsize
    1,  # e_phnum
    64,  # e_shentsize
    0,  # e_shnum
    0,  # e_shstrndx
)
# PT_LOAD, readable and executable, the whole file at ADDRESS, aligned to a page.
PROGRAM_HEADER = struct.pack('<IIQQQQQQ', 1, 5, 0, ADDRESS, ADDRESS, SIZE, SIZE, 0x1000)

program = pathlib.Path(sys.argv[1])
program.write_bytes(ELF_HEADER + PROGRAM_HEADER + CODE + GREETING)
program.chmod(0o755)
