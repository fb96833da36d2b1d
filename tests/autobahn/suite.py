"""The test cases of the Autobahn project, read by Python 3.

The cases and their verdicts are what the package `autobahntestsuite` ships. Its own runner, and some lines of the cases,
are written for Python 2, which no current system has. So the cases are read as Python 2 would read them, and mended in
the few places where the language has changed since; nothing that a case sends or expects is touched.

A string of Python 2 is bytes. Here it is text with one character for each byte (Latin-1); `fuzz.py` translates where
that text meets the wire.
"""

import binascii
import importlib.abc
import importlib.util
import pathlib
import re
import sys
import types

from autobahn.websocket import utf8validator

PACKAGE = pathlib.Path(importlib.util.find_spec('autobahntestsuite').origin).parent

# What has changed since Python 2, or in the WebSocket library, wherever it occurs, and the names that are given below.
CHANGES = [
    (r'^#.*coding.*$', ''),
    (r'^(\s*)print\b.*$', r'\1pass'),
    (r'^from (zope|twisted|autobahn\.websocket\.utf8validator)\b.*$', ''),
    (r'^\s*implements\(.*$', ''),
    (r'^import binascii$', ''),
    (r'^import copy, os, pkg_resources, hashlib, binascii$', 'import copy, os, hashlib'),
    (r'\(object, Case, \)', '(Case, )'),
    (r'\bxrange\b', 'range'),
    (r'\.has_key\(', '.__contains__('),
    (r' / self\.p\.autoFragmentSize', ' // self.p.autoFragmentSize'),
    (r'\brequestNoContextTakeover\b', 'request_no_context_takeover'),
    (r'\brequestMaxWindowBits\b', 'request_max_window_bits'),
    (r"'\\\.'", r"r'\\.'"),
]


def as_bytes(text):
    """What a string of Python 2 is on the wire."""
    return text.encode('latin-1') if isinstance(text, str) else text


def as_text(data):
    """The string of Python 2 that these bytes are."""
    return data.decode('latin-1')


class Utf8Validator(utf8validator.Utf8Validator):
    """The validator by which the cases sort their sequences, for strings of Python 2."""

    def validate(self, text):
        return super().validate(as_bytes(text))


def hexadecimal(text):
    """What `binascii.b2a_hex` was in Python 2."""
    return as_text(binascii.b2a_hex(as_bytes(text)))


GIVEN = {
    'Utf8Validator': Utf8Validator,
    'pkg_resources': types.SimpleNamespace(resource_filename=lambda package, path: str(PACKAGE / path)),
    'binascii': types.SimpleNamespace(b2a_hex=hexadecimal, hexlify=hexadecimal),
}


class Reader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `case`, `case1_1_1` and so on, as Python 2 does inside their package, and `cases`, which imports all."""

    def find_spec(self, name, path=None, target=None):
        known = re.fullmatch(r'cases?|case\d\w*|caseset', name)
        return importlib.util.spec_from_loader(name, self) if known else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        folder = PACKAGE if name == 'caseset' else PACKAGE / 'case'
        file = folder / ('__init__.py' if name == 'cases' else f'{name}.py')
        source = file.read_text(encoding='latin-1')
        for pattern, instead in CHANGES:
            source = re.sub(pattern, instead, source, flags=re.MULTILINE)
        module.__dict__.update(GIVEN)
        exec(compile(source, str(file), 'exec'), module.__dict__)


def load(patterns):
    """The cases that match these patterns (`1.*`, `9.1.1`), in order: pairs of number and class."""
    sys.meta_path.insert(0, Reader())
    import case
    import cases
    import caseset

    # Pickles, which the original compares, differ between equal values.
    case.Case.compare = lambda self, received, expected: received == expected
    chosen = caseset.CaseSet('websocket', 'Case', cases.Cases, cases.CaseCategories, cases.CaseSubCategories)
    numbers = chosen.parseSpecCases({'cases': patterns})
    return [(number, chosen.CasesById[number]) for number in numbers]
