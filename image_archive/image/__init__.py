# SPDX-License-Identifier: Apache-2.0
"""The formats of images, and the images that an archive holds."""
