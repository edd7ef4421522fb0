# SPDX-License-Identifier: Apache-2.0
"""JSON in archives is read as Go reads it, or refused (section 7)."""

import json

import pytest

from image_archive.image import strict_json
from image_archive.image.strict_json import JsonError
from support.images import BaseImage, Parts, configuration, write_base, write_base_of
from support.joins import entries_of, image_of, join, refuses
from support.running import build, fails, problems
from support.tars import content, member, sha256, tar_of

# What is refused in any file, and why.
REFUSED = {
    'a lone surrogate': (b'"\\ud83d"', r"has a lone surrogate, '\ud83d'"),
    'a lone surrogate as a key': (b'{"\\uDE00x": 1}', r"has a lone surrogate, '\ude00'"),
    'two halves in the wrong order': (b'"\\ude00\\ud83d"', r"has a lone surrogate, '\ude00'"),
    'a key twice': (b'{"a": 1, "a": 1}', "has the key 'a' twice"),
    '101 levels': (b'[' * 101 + b']' * 101, 'is nested over 100 levels deep'),
    '101 levels of both kinds': (
        b'[{"":' * 50 + b'[]' + b'}]' * 50,
        'is nested over 100 levels deep',
    ),
    'an opened string': (b'["\\\\\\"[[[', 'is not JSON'),
    '1e999': (b'1e999', 'has the number 1e999, which is too large'),
    '-1e999': (b'[-1e999]', 'has the number -1e999, which is too large'),
    'a fraction with a large exponent': (b'1.5E400', 'has the number 1.5E400, which is too large'),
    'a long integer': (b'1' * 5000, f'has the number {"1" * 30}..., which is too large'),
    'an integer over float64': (b'9' * 309, f'has the number {"9" * 30}, which is too large'),
    'NaN': (b'NaN', 'is not JSON'),
    'Infinity': (b'[Infinity]', 'is not JSON'),
    'a leading zero': (b'01', 'is not JSON'),
    'digits that are not ASCII': ('\u0661'.encode(), 'is not JSON'),
    'a control character in a string': (b'"\n"', 'is not JSON'),
    'UTF-8 of a surrogate': (b'"\xed\xa0\x80"', 'is not in UTF-8'),
    'too many values': (b'[' + b'[],' * 150_000 + b'[]]', 'has over 300,000 values'),
}
# What is read, and its value.
READ = {
    '100 levels': (b'[' * 100 + b']' * 100, None),
    'brackets in strings': (b'["' + b'[' * 200 + b'", "\\"[", "\\\\"]', ['[' * 200, '"[', '\\']),
    'a surrogate pair': (b'"\\ud83d\\ude00"', '\U0001f600'),
    'an escaped backslash': (b'"\\\\ud83d"', '\\ud83d'),
    'a small number': (b'1e-999', 0.0),
    'a large number': (b'1e308', 1e308),
    'an integer over int64': (b'18446744073709551616', 1 << 64),
}


@pytest.mark.parametrize('case', REFUSED)
def test_value_that_is_refused(case):
    data, reason = REFUSED[case]
    with pytest.raises(JsonError) as info:
        strict_json.loads(data)
    assert info.value.reason == reason


@pytest.mark.parametrize('case', READ)
def test_value_that_is_read(case):
    data, value = READ[case]
    found = strict_json.loads(data)
    if value is None:
        value = json.loads(data)
    assert found == value


QUICK = [case for case in REFUSED if case != 'too many values']


@pytest.mark.parametrize('case', QUICK)
def test_configuration_is_refused(parts, case):
    data, reason = REFUSED[case]
    config = json.dumps(configuration(parts.diff_ids)).encode()
    parts.configure(config[:-1] + b', "x": ' + data + b'}')
    (line,) = problems(*parts.flags)
    # Within the configuration the value is one level deeper.
    assert line.startswith(f"--config: '{parts.config}' {reason}: ")


@pytest.mark.parametrize('case', QUICK)
def test_configuration_of_a_base_is_refused(tmp_path, case):
    data, reason = REFUSED[case]
    base = write_base_of(tmp_path / 'base.tar', b'{"x": ' + data + b'}')
    output = tmp_path / 'config.json'
    line = fails(f'--output={output}', f'--base={base}', program='create_image_config')
    assert line.startswith(f"--base: '{base}': its configuration 'config.json' {reason}: ")


@pytest.mark.parametrize('case', REFUSED)
def test_manifest_is_refused(tmp_path, case):
    data, reason = REFUSED[case]
    image = BaseImage(['l'])
    text = json.dumps([{**image.entry, 'X': 'VALUE'}]).encode().replace(b'"VALUE"', data)
    base = tmp_path / 'base.tar'
    files = [member(name, data) for name, data in image.files.items()]
    base.write_bytes(tar_of(*files, member('manifest.json', text)))
    parts = Parts(tmp_path, below=image.diff_ids, base=base)
    line = f"'{base}': manifest.json {reason}: replace it"
    assert fails(*parts.flags) == line
    assert refuses(tmp_path, base) == line


@pytest.mark.parametrize('name', ['index.json', 'repositories'])
@pytest.mark.parametrize('case', ['a lone surrogate', 'a key twice', '1e999', '101 levels'])
def test_other_documents_are_refused(tmp_path, name, case):
    data, _ = REFUSED[case]
    text = b'{"manifests": [], "x": ' + data + b'}'
    if name == 'repositories':
        text = b'{"r": {"t": ' + data + b'}}'
    archive = write_base(tmp_path / 'a.tar', image_of('l'), more=[member(name, text)])
    assert refuses(tmp_path, archive).startswith(f"'{archive}': {name} is not ")


# Wrong types of values that Go reads into numbers and lists.

TYPES = {
    'history of lists': ({'history': [[]]}, 'history[0] must be an object'),
    'a fraction': ({'config': {'StopTimeout': 1.0}}, 'config.StopTimeout must be a whole number'),
    'over int64': (
        {'config': {'StopTimeout': 1 << 63}},
        'config.StopTimeout must be a whole number',
    ),
    'a type of rootfs': ({'rootfs': {'type': 5, 'diff_ids': []}}, 'rootfs.type must be a string'),
}


@pytest.mark.parametrize('case', TYPES)
def test_wrong_type_is_one_line(parts, case):
    keys, text = TYPES[case]
    config = {**configuration(parts.diff_ids), **keys}
    parts.configure(config)
    found = [line for line in problems(*parts.flags) if 'must be' in line]
    assert found == [f"--config: '{parts.config}': {text}: correct it"]


def test_problems_of_types_are_limited(parts):
    parts.configure({**configuration(parts.diff_ids), 'history': [0] * 1000})
    found = [line for line in problems(*parts.flags) if 'must be' in line]
    assert len(found) == 101
    assert found[-1].endswith(': more values must be of another type: correct it')


# Keys in other spellings. The long s folds to s, the Kelvin sign to k.

SPELLINGS = ['rootfs', 'RootFS', 'rootf\u017f', 'ROOTF\u017f']


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_key_of_a_configuration_in_another_spelling_counts(parts, spelling):
    config = configuration(parts.diff_ids)
    config[spelling] = config.pop('rootfs')
    parts.configure(config)
    build(*parts.flags, '--verify')
    assert json.loads(content(parts.output, f'{parts.id}.json')) == config  # stored as it is
    config[spelling]['diff_ids'] = ['sha256:' + 'e' * 64]
    parts.configure(config)
    (line,) = problems(*parts.flags)
    assert 'rootfs.diff_ids[0] is' in line


@pytest.mark.parametrize('spelling', ['rootf\u017f', 'ROOTFS'])
def test_key_of_a_configuration_in_two_spellings_is_reported(parts, spelling):
    config = configuration(parts.diff_ids)
    parts.configure({**config, spelling: config['rootfs']})
    text = f'{spelling} must be left out: the key occurs in another spelling'
    assert f"--config: '{parts.config}': {text}: correct it" in problems(*parts.flags)


def test_keys_that_only_python_folds_are_other_keys(parts):
    """The dotted I has no simple folding to i, and the sharp s none to ss."""
    config = configuration(parts.diff_ids)
    config['rootfs']['d\u0130ff_ids'] = 5
    config['o\u00df'] = 5
    parts.configure(config)
    build(*parts.flags, '--verify')


OTHER = {'Config': 'config', 'Layers': 'LAYER\u017f', 'RepoTags': 'repotag\u017f'}


def respelled(entry):
    return {OTHER[key]: value for key, value in entry.items()}


def test_manifest_in_other_spellings_is_read(tmp_path):
    image = BaseImage(['l'], tags=['a:1'])
    base = write_base(tmp_path / 'base.tar', image, entries=[respelled(image.entry)])
    parts = Parts(tmp_path, below=image.diff_ids, base=base)
    build(*parts.flags, '--verify')
    (entry,) = entries_of(parts.output)
    assert entry['Layers'][0] == 'l'
    assert entry['Parent'] == f'sha256:{image.id}'


def test_joined_manifest_has_known_keys_in_their_usual_spelling(tmp_path):
    app, db = image_of('a', tag='app:1'), image_of('b', tag='db:1')
    entry = {**respelled(app.entry), 'Unknown': 1, 'REPOTAG': ['lost:1']}
    one = write_base(tmp_path / 'one.tar', app, entries=[entry])
    other = write_base(tmp_path / 'other.tar', db)
    assert entries_of(join(tmp_path, one, other, flags=['--verify'])) == [app.entry, db.entry]


def test_tags_in_other_spellings_are_compared(tmp_path):
    app, db = image_of('a', tag='app:1'), image_of('b', tag='app:1')
    one = write_base(tmp_path / 'one.tar', app, entries=[respelled(app.entry)])
    other = write_base(tmp_path / 'other.tar', db)
    assert "two images with the tag 'app:1'" in refuses(tmp_path, one, other)


@pytest.mark.parametrize('key', ['CONFIG', 'layer\u017f', 'repotags', 'parent'])
def test_manifest_with_a_key_in_two_spellings_is_an_error(tmp_path, key):
    image = image_of('a', tag='app:1')
    entry = {**image.entry, 'Parent': 'x', key: None}
    archive = write_base(tmp_path / 'a.tar', image, entries=[entry])
    line = refuses(tmp_path, archive)
    assert line.startswith(f"'{archive}': manifest.json has the key ")
    assert line.endswith(' in two spellings: replace it')


def test_index_in_other_spellings_is_merged(tmp_path):
    """The new index.json has them in their usual spelling."""
    image = image_of('a', tag='app:1')
    config = {'digest': f'sha256:{image.id}', 'size': len(image.config)}
    manifest = json.dumps({'config': config, 'layers': []}).encode()
    kind = 'application/vnd.oci.image.manifest.v1+json'
    digest = f'sha256:{sha256(manifest)}'
    descriptor = {'mediaType': kind, 'digest': digest, 'size': 1, 'platform': {'os': 'linux'}}
    other = {'MediaType': kind, 'dige\u017ft': digest, 'SIZE': 1, 'Platform': {'O\u017f': 'linux'}}
    more = [
        member(f'blobs/sha256/{sha256(manifest)}', manifest),
        member(f'blobs/sha256/{image.id}', image.config),
        member('index.json', json.dumps({'Manife\u017ft\u017f': [other]}).encode()),
        member('oci-layout', b'{"imageLayoutVersion": "1.0.0"}'),
    ]
    archive = write_base(tmp_path / 'a.tar', image, more=more)
    joined = join(tmp_path, archive)
    assert json.loads(content(joined, 'index.json'))['manifests'] == [descriptor]
    two = json.dumps({'manifests': [{**descriptor, 'Digest': digest}]}).encode()
    bad = write_base(tmp_path / 'b.tar', image, more=[member('index.json', two)])
    assert refuses(tmp_path, bad).startswith(f"'{bad}': index.json is not an OCI image index")
