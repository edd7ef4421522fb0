# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with any image, whether it is created or joined."""
