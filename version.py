# SPDX-License-Identifier: Apache-2.0
"""The version of the programs."""

VERSION = '2.0.0'
