# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a configuration."""

from image_archive.checks.problem import Problem, Problems
from image_archive.image.config_schema import is_platform_value, is_port
from image_archive.image.configuration import Configuration

_SHOWN = 200  # characters of a value, in messages


def configuration_problems(label: str, config: Configuration) -> Problems:
    """Checks that a configuration has the keys and types of the image specification.

    Args:
        label: the name of the configuration in messages.
        config: the configuration, which is a JSON object.
    """
    texts = list(config.type_problems)
    # containerd ignores an image without a platform.
    for key in ('architecture', 'os'):
        if config.keys.get(key) in (None, ''):
            texts.append(f'{key} is missing or empty')
    for key in ('architecture', 'os', 'variant'):
        value = config.keys.get(key)
        if isinstance(value, str) and not is_platform_value(value):
            texts.append(f'{key} is {value[:_SHOWN]!r}, which is not one name')
    texts += _port_problems(config)
    rootfs = config.keys.get('rootfs')
    if rootfs is None:
        texts.append('rootfs is missing')
    elif isinstance(rootfs, dict):
        kind = rootfs.get('type')
        if kind is None or (isinstance(kind, str) and kind != 'layers'):
            texts.append('rootfs.type must be "layers"')
    for text in texts:
        yield Problem(f'{label}: {text}: correct it')


def _port_problems(config: Configuration) -> list[str]:
    """Returns the key of ExposedPorts that Docker 29 refuses, the first one."""
    process = config.keys.get('config')
    ports = process.get('ExposedPorts') if isinstance(process, dict) else None
    if not isinstance(ports, dict):
        return []
    for port in ports:
        if not is_port(port):
            return [f'config.ExposedPorts has {port[:_SHOWN]!r}, and Docker takes one port a key']
    return []


def history_problems(label: str, config: Configuration, layers: int) -> Problems:
    """Checks that a history has as many entries of layers as there are layers.

    Args:
        label: the name of the configuration in messages.
        config: the configuration.
        layers: the number of layers.
    """
    count = config.layers_in_history
    if count is not None and count != layers:
        text = f'history has {count} entries without empty_layer for {layers} layers'
        yield Problem(f'{label}: {text}: add or mark entries')
