"""A WSGI application that is as lenient as any: whatever it could take for `/admin/`, it does take for it.

Otherwise it answers what the server made of the request.
"""

import json
import re
import unicodedata
from urllib.parse import unquote

SECRET = "Nobody but the admins may read this.\n"

# What frameworks and the middleware of frameworks read a path from, in place of the request line.
OTHER_PATHS = ("HTTP_X_ORIGINAL_URL", "HTTP_X_ORIGINAL_URI", "HTTP_X_REWRITE_URL", "HTTP_X_FORWARDED_URI",
               "HTTP_X_FORWARDED_PREFIX", "HTTP_X_ENVOY_ORIGINAL_PATH", "HTTP_X_HTTP_PATH_OVERRIDE")


# What structures a path in some code page, and has no compatibility form.
BEST_FIT = str.maketrans("\u2044\u2215\u29f8\u2216\u29f5", "///\\\\")


def per_segment(path, change):
    return "/".join(change(segment) for segment in path.split("/"))


def resolve(path):
    resolved = []
    for segment in path.split("/"):
        if segment == "..":
            del resolved[-1:]
        elif segment not in ("", "."):
            resolved.append(segment)
    return "/" + "/".join(resolved)


STEPS = (
    unquote,
    resolve,
    lambda path: path.replace("\\", "/"),
    lambda path: unicodedata.normalize("NFKC", path),
    lambda path: path.translate(BEST_FIT),
    lambda path: re.split("[?#]", path)[0],
    lambda path: path.split(";")[0],
    lambda path: per_segment(path, lambda segment: segment.split(";")[0]),
    lambda path: per_segment(path, lambda segment: segment.split("::$")[0]),
    lambda path: per_segment(path, lambda segment: segment if segment in (".", "..") else segment.rstrip(". ")),
    lambda path: path.split("\0")[0],
    lambda path: "".join(character for character in path if ord(character) > 31),
)


def readings(path):
    """Everything that these steps make of a path, in any order."""
    found, new = {path}, [path]
    while new and len(found) < 500:
        path = new.pop()
        for step in STEPS:
            reading = step(path)
            if reading not in found:
                found.add(reading)
                new.append(reading)
    return found


def is_protected(path):
    return any(reading == "/admin" or reading.startswith("/admin/") for reading in readings(path))


def text(native):
    """What WSGI hands over as Latin-1, as UTF-8."""
    return native.encode("latin-1").decode("utf-8", "replace")


def application(environ, start_response):
    paths = [environ["PATH_INFO"], environ.get("RAW_URI", "/").split("?")[0]]
    paths += [environ[name] for name in OTHER_PATHS if name in environ]
    if any(is_protected(text(path)) for path in paths):
        body = SECRET
    else:
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)})
    body = body.encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
