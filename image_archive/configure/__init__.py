# SPDX-License-Identifier: Apache-2.0
"""The configuration of an image, from that of a base and from flags."""
