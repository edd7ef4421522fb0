# SPDX-License-Identifier: Apache-2.0
"""The keys of a configuration, and values of a wrong type for each."""

OBJECT, STRING, INTEGER, BOOLEAN = {}, 'text', 7, True
STRINGS = ['text']
# Each key of a configuration, a value of each wrong type, and the type that it must have.
A_STRING = ('a string', [INTEGER, BOOLEAN, STRINGS, OBJECT])
STRINGS_ONLY = ('a list of strings', [STRING, INTEGER, OBJECT, [INTEGER], [None]])
A_SET = ('an object', [STRING, STRINGS, INTEGER])
A_NUMBER = ('a whole number', [STRING, 1.5, BOOLEAN, 1 << 63, STRINGS])
A_SWITCH = ('true or false', [STRING, INTEGER, STRINGS])
A_TIME = ('a time like', [INTEGER, '', 'yesterday', '1970-01-01', '1970-01-01 00:00:00Z'])
KEYS = {
    'architecture': A_STRING,
    'os': A_STRING,
    'variant': A_STRING,
    'os.version': A_STRING,
    'os.features': STRINGS_ONLY,
    'author': A_STRING,
    'comment': A_STRING,
    'container': A_STRING,
    'docker_version': A_STRING,
    'id': A_STRING,
    'parent': A_STRING,
    'created': A_TIME,
    'size': A_NUMBER,
    'config': A_SET,
    'container_config': A_SET,
    'rootfs': A_SET,
    'history': ('a list', [STRING, INTEGER, OBJECT]),
}
CONFIG_KEYS = {
    'Hostname': A_STRING,
    'Domainname': A_STRING,
    'User': A_STRING,
    'Image': A_STRING,
    'WorkingDir': A_STRING,
    'MacAddress': A_STRING,
    'StopSignal': A_STRING,
    'Env': STRINGS_ONLY,
    'Cmd': STRINGS_ONLY,
    'Entrypoint': STRINGS_ONLY,
    'OnBuild': STRINGS_ONLY,
    'Shell': STRINGS_ONLY,
    'ExposedPorts': A_SET,
    'Volumes': A_SET,
    'Labels': A_SET,
    'Healthcheck': A_SET,
    'StopTimeout': A_NUMBER,
    'AttachStdin': A_SWITCH,
    'AttachStdout': A_SWITCH,
    'AttachStderr': A_SWITCH,
    'Tty': A_SWITCH,
    'OpenStdin': A_SWITCH,
    'StdinOnce': A_SWITCH,
    'ArgsEscaped': A_SWITCH,
    'NetworkDisabled': A_SWITCH,
}
HEALTHCHECK_KEYS = {
    'Test': STRINGS_ONLY,
    'Interval': A_NUMBER,
    'Timeout': A_NUMBER,
    'StartPeriod': A_NUMBER,
    'StartInterval': A_NUMBER,
    'Retries': A_NUMBER,
}
HISTORY_KEYS = {
    'created': A_TIME,
    'created_by': A_STRING,
    'author': A_STRING,
    'comment': A_STRING,
    'empty_layer': A_SWITCH,
}
TABLES = [
    ('{}', lambda value: value, KEYS),
    ('config.{}', lambda value: {'config': value}, CONFIG_KEYS),
    ('container_config.{}', lambda value: {'container_config': value}, CONFIG_KEYS),
    ('config.Healthcheck.{}', lambda value: {'config': {'Healthcheck': value}}, HEALTHCHECK_KEYS),
    ('history[0].{}', lambda value: {'history': [value]}, HISTORY_KEYS),
]
