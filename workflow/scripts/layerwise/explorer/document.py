"""The page: its text, styles and programs from `page/`, and the data, compressed and as text.

The programs come into the page in the order of PROGRAMS, each in a script of its own, since a page that is opened from
a file may load nothing. Its policy allows these scripts by their checksums and forbids every request.
"""

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from typing import Any

from layerwise.explorer.tables import Arrays
from layerwise.paths import PAGE, ROOT

FOLDER = ROOT / PAGE
SCREENS = ("map", "prompt", "cell", "flips", "judges", "predictions", "numbers", "compare")
PROGRAMS = ("stats", "dom", "data", "parts", "frame", *SCREENS, "start")


def document(title: str, front: Mapping[str, Any], details: Mapping[str, Any], arrays: Arrays, pictures: str) -> bytes:
    """The whole page as UTF-8. `front` is what the first screen needs, so that it need not wait for the rest."""
    scripts = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in PROGRAMS]
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src {allowed(style)}; "
        f"script-src {' '.join(map(allowed, scripts))}; base-uri 'none'; form-action 'none'"
    )
    data = {
        "front": compressed(text(front)),
        "details": compressed(text({**details, "arrays": arrays.places})),
        "arrays": compressed(arrays.data),
        "pictures": pictures,
    }
    parts = {
        "TITLE": html.escape(title),
        "POLICY": html.escape(policy),
        "STYLE": f"<style>{style}</style>",
        "DATA": "\n".join(f'<script type="text/plain" id="{id}">{part}</script>' for id, part in data.items()),
        "PROGRAMS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part, 1)
    return page.encode()


def text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def compressed(data: bytes) -> str:
    """gzip without a time, in base64."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def allowed(code: str) -> str:
    """How a policy names a script or style that is inside the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
