"""Assets at a plain URL: a downloader that resumes, retries up to a limit, and trusts only the checksum.

Files lie at `url/<first digits of their sha256>/<name>`. A file is called `.part` until it is complete.
"""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from layerwise.assets.cache import LOCAL, Fetched, Found, describe, make_room, root, writing
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.jobs.program import progress
from layerwise.study.sources import Place

__all__ = ["fetch", "root"]

CHUNK = 2**20
ATTEMPTS = 5  # in a row without a new byte
TIMEOUT = 30.0  # seconds of silence
LONGEST_WAIT = 300.0  # seconds that a server may ask for


def fetch(source: Place) -> Fetched:
    """The file at `source.url`, with the checksum `source.sha256`."""
    url, sha256 = source.url, source.sha256
    assert url is not None and sha256 is not None, "a source of this kind has a url and a sha256"
    name = source.file_name
    assert name is not None, "a plain file has a name"
    folder = root() / "url" / sha256[:16]
    with writing(folder):
        if not (folder / name).exists() or not file_digest(folder / name).startswith(sha256):
            _download(url, sha256, folder / name)
    return Fetched(str(folder.relative_to(root())), describe(folder, [name]))


def check(source: Place) -> Found:
    """Ask the server for the file's size."""
    assert source.url is not None, "a source of this kind has a url"
    return head(source.url)


def head(url: str) -> Found:
    """What a server says of a file. Raises InputError if it does not answer, or not with the file."""
    for method, more in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):  # some servers know only GET
        try:
            with _open(url, more, method) as response:
                total = response.headers.get("Content-Range", "").rpartition("/")[2]
                length = total if total.isdigit() else response.headers.get("Content-Length")
                return Found(int(length) if length else None)
        except urllib.error.HTTPError as error:
            if method == "GET" or error.code in (404, 410):
                _told(url, error)
                raise InputError(f"{url}: the server answers {error.code} {error.reason}. Try again later.") from error
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            raise InputError(f"cannot reach {url}: {reason}. Check the network and the proxy settings.") from error
    raise AssertionError("the last method returns or raises")


def _open(url: str, headers: dict[str, str], method: str = "GET") -> HTTPResponse:
    headers = {"User-Agent": "unfair-alignment", "Accept-Encoding": "identity", **headers}
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=TIMEOUT)


def _download(url: str, sha256: str, target: Path) -> None:
    """Fill `<target>.part` until its checksum is right, then rename it."""
    part = target.with_name(f"{target.name}.part")
    resumed = True
    while resumed:  # the leftover of an earlier run may be of another version: then fetch again from the start
        resumed = part.exists()
        if not resumed or not file_digest(part).startswith(sha256):
            _complete(url, part)
        if (found := file_digest(part)).startswith(sha256):
            part.replace(target)
            return
        part.unlink()
    raise InputError(
        f"checksum mismatch: {url} has sha256 {found}, but key 'sha256' says {sha256}. The file was changed at its "
        "home or in transit: check its page, and change the key only if you want the new file."
    )


def _complete(url: str, part: Path) -> None:
    """Transfer what `part` lacks, from where an interrupted transfer stopped. Raises InputError if that is hopeless."""
    attempts = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        told = None
        try:
            if _transfer(url, part, before):
                return
            reason = "the transfer was interrupted"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # `part` is longer than the file
                part.unlink()
                continue
            reason, told = f"the server answers {error.code} {error.reason}", _told(url, error)
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in LOCAL:
                raise
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        attempts = 1 if part.exists() and part.stat().st_size > before else attempts + 1
        if attempts == ATTEMPTS:
            raise InputError(
                f"cannot fetch {url}: {reason} ({ATTEMPTS} attempts). Check the network and the proxy settings, then "
                "run again: the download resumes where it stopped."
            )
        wait = 2.0 ** (attempts - 1) if told is None else told
        print(f"{part.stem}: {reason}; trying again in {wait:.0f} s", file=sys.stderr, flush=True)
        time.sleep(wait)


def _told(url: str, error: urllib.error.HTTPError) -> float | None:
    """Seconds that the server asks to wait, or None if it names none. Raises InputError if a retry is hopeless."""
    if error.code in (404, 410):
        raise InputError(f"{url} is gone ({error.code}). Find the file's new address, and change key 'url'.")
    if error.code != 429 and error.code < 500:
        raise InputError(f"{url}: the server answers {error.code} {error.reason}. Open it in a browser to see why.")
    told = error.headers.get("Retry-After", "")
    if told.isdigit() and int(told) > LONGEST_WAIT:
        raise InputError(f"{url}: the server asks to wait {int(told)} s ({error.code}). Run again after that time.")
    return float(told) if told.isdigit() else None


def _transfer(url: str, part: Path, start: int) -> bool:
    """Append to `part` what the server sends from byte `start` on; False if it stopped before the end."""
    with _open(url, {"Range": f"bytes={start}-"} if start else {}) as response:
        if start and response.status != 206:  # the server sends the whole file anyway
            start = 0
        length = response.headers.get("Content-Length")
        if length is not None:
            make_room(part.parent, int(length))
        with open(part, "ab" if start else "wb") as stream:
            received = 0
            for chunk in progress(_chunks(response), -(-int(length or 0) // CHUNK), f"{part.stem} (MB)"):
                stream.write(chunk)
                received += len(chunk)
    return length is None or received == int(length)


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk
