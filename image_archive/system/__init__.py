# SPDX-License-Identifier: Apache-2.0
"""The process and its files: flags, messages, signals, inputs and outputs. Knows no tar."""
