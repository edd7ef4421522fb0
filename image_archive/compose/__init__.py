# SPDX-License-Identifier: Apache-2.0
"""An image from files: a layer, a configuration and an archive, without files in between."""
