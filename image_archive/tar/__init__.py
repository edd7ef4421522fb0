# SPDX-License-Identifier: Apache-2.0
"""Tar archives: names, compression, reading and writing. Knows no image."""
