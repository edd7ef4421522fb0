# SPDX-License-Identifier: Apache-2.0
"""A layer from files, tarballs and packages, which respects the base that it will lie on."""
