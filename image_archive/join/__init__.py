# SPDX-License-Identifier: Apache-2.0
"""One archive from several image archives."""
