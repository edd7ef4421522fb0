# SPDX-License-Identifier: Apache-2.0
"""Flags that several programs have: each program shares those that it needs."""

from absl import flags

from image_archive.system.flag_values import new_flags

FLAGS = new_flags()
BASE_TAG = flags.DEFINE_string(
    'base_tag', None, 'the tag of the image in --base, where there are several', flag_values=FLAGS
)
PLATFORM = flags.DEFINE_string(
    'platform',
    None,
    'the platform of the image in --base, where there are several, like linux/arm64',
    flag_values=FLAGS,
)
VERIFY = flags.DEFINE_boolean(
    'verify', False, 'read every byte, and write nothing if anything is wrong', flag_values=FLAGS
)
