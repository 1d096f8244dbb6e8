"""Assets from the model hub. huggingface_hub does the work; this file pins, checks and explains failures.

huggingface_hub honours HF_ENDPOINT, HF_HUB_OFFLINE and its own cache (files fetched by other programs are used), reads
the token from HF_TOKEN itself, resumes interrupted downloads, and waits as long as a busy hub asks. It compares sizes,
not contents; checksums are compared here.
"""

import difflib
import hashlib
import io
import os
import re
import sys
import time
from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import HfApi, RepoFile, constants, errors, snapshot_download
from huggingface_hub.utils import filter_repo_objects
from huggingface_hub.utils._http import default_client_factory
from tqdm import tqdm

from layerwise.assets import cache
from layerwise.assets.cache import Fetched, Found, describe
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.jobs.program import SECONDS_BETWEEN_LINES
from layerwise.study.sources import Place

LONGEST_WAIT = 300  # seconds that the hub may ask for between two attempts


def root() -> Path:
    """`$LAYERWISE_CACHE/hub` if LAYERWISE_CACHE is set, otherwise the hub's own cache (HF_HUB_CACHE, HF_HOME)."""
    return cache.root() / "hub" if os.environ.get("LAYERWISE_CACHE") else Path(constants.HF_HUB_CACHE)


def fetch(source: Place) -> Fetched:
    """The files of `source.repo` at `source.revision` that match `source.files`, each with its content checked."""
    huggingface_hub.set_client_factory(_client)
    folder, sizes = _snapshot(source)
    if damaged := [name for name in sizes if _differs(folder / name, sizes[name])]:
        # The file was damaged on disk or in transit. If it is wrong after a second download, it is wrong at its home.
        for name in damaged:
            (folder / name).resolve().unlink()
            (folder / name).unlink(missing_ok=True)
        folder, sizes = _snapshot(source)
        for name, size in sizes.items():
            if _differs(folder / name, size):
                raise InputError(
                    f"checksum mismatch: {name} of {source.repo} differs from what the hub announces, also after "
                    f"a second download. Something between here and {_endpoint()} changes it: try another network or "
                    "another HF_ENDPOINT."
                )
    files = describe(folder, sizes)
    if source.sha256 and not files[0].sha256.startswith(source.sha256):
        raise InputError(
            f"checksum mismatch: {files[0].name} of {source.repo} at revision {source.revision} has sha256 "
            f"{files[0].sha256}, but key 'sha256' says {source.sha256}. Check keys 'revision' and 'sha256'."
        )
    return Fetched(str(folder.relative_to(root().resolve())), files, folder.name)


def check(source: Place) -> Found:
    """Ask the hub whether the revision and its files are there, how large they are, and if the token opens them."""
    assert source.repo is not None, "a source of this kind has a repo"
    if constants.is_offline_mode():
        raise InputError("HF_HUB_OFFLINE forbids asking the hub. Unset it.")
    huggingface_hub.set_client_factory(_client)
    api, keys = HfApi(endpoint=_endpoint()), {"repo_type": source.repo_type, "revision": source.revision}
    try:
        gated = api.repo_info(source.repo, **keys).gated
        listed = api.list_repo_tree(source.repo, recursive=True, **keys)
        sizes = {file.path: file.size for file in listed if isinstance(file, RepoFile)}
        names = _chosen(source, list(sizes), f"at revision {source.revision}")
        huggingface_hub.get_hf_file_metadata(
            huggingface_hub.hf_hub_url(source.repo, names[0], endpoint=_endpoint(), **keys), endpoint=_endpoint()
        )
    except (OSError, httpx2.HTTPError) as error:
        raise InputError(_explain(source, error)) from error
    return Found(sum(sizes[name] for name in names), ("gated, and HF_TOKEN opens it",) if gated else ())


def _snapshot(source: Place) -> tuple[Path, dict[str, int]]:
    """The folder in the hub's cache, and the sizes of its files that match the patterns; missing ones are fetched.

    huggingface_hub takes whatever the cache holds where it cannot ask the hub and has not kept the repository's list
    of files. Such a folder may be a part, so it is refused.
    """
    try:
        folder = Path(
            snapshot_download(
                source.repo,
                repo_type=source.repo_type,
                revision=source.revision,
                allow_patterns=source.files,
                cache_dir=root(),
                endpoint=_endpoint(),
                tqdm_class=_Lines,
            )
        )
        listed = huggingface_hub.get_cached_repo_tree(
            source.repo, repo_type=source.repo_type, revision=folder.name, cache_dir=root()
        )
    except errors.CachedRepoTreeNotFoundError as error:
        why = "HF_HUB_OFFLINE forbids asking" if constants.is_offline_mode() else f"{_endpoint()} does not answer"
        raise InputError(
            f"the cache {root()} holds files of {source.repo_type} '{source.repo}', but whether they are all cannot be "
            f"checked: {why}. Run again where it answers, or copy the receipt along with the cache from a machine that "
            "has fetched it: with a receipt, nothing is fetched."
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        raise InputError(_explain(source, error)) from error
    tree = {file.path: file.size for file in listed}
    chosen = _chosen(source, list(tree), f"at revision {source.revision}")
    return folder, {name: tree[name] for name in chosen}


def _chosen(source: Place, there: list[str], where: str) -> list[str]:
    """The files of a repository that are wanted. Raises InputError for a pattern that should match one and does not."""
    names = sorted(filter_repo_objects(there, allow_patterns=source.files))
    for pattern in source.files or ():
        # Repositories differ in layout, so a pattern such as `*.jinja` may match nothing, as long as others match.
        needed = not names or not set(pattern) & set("*?[")
        if needed and not list(filter_repo_objects(names, allow_patterns=pattern)):
            close = difflib.get_close_matches(pattern, there, n=3)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"Its files: {', '.join(sorted(there)[:20])}."
            raise InputError(f"{source.repo} has no file '{pattern}' {where} (key 'files'). {hint}")
    return names


def _differs(path: Path, size: int) -> bool:
    """Whether a file's size or content differs from what the hub announced.

    A blob is named by its sha256 (large files) or its git hash: https://huggingface.co/docs/hub/local-cache. If the
    cache holds copies instead of links, there is no such name, and only the size can be compared.
    """
    if path.stat().st_size != size:
        return True
    name = os.path.basename(os.readlink(path)) if path.is_symlink() else ""
    if re.fullmatch("[0-9a-f]{64}", name):
        return file_digest(path) != name
    if re.fullmatch("[0-9a-f]{40}", name):
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != name
    return False


def _explain(source: Place, error: Exception) -> str:
    """What failed and what to do about it, in terms of the configuration."""
    what = f"{source.repo_type} '{source.repo}'"
    page = f"{_endpoint()}/{'datasets/' if source.repo_type == 'dataset' else ''}{source.repo}"
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    status = cause.response.status_code if isinstance(cause, errors.HfHubHTTPError) else None
    if isinstance(cause, errors.GatedRepoError):
        why = "the account of HF_TOKEN has no access" if huggingface_hub.get_token() else "HF_TOKEN is not set"
        return f"{what} is gated and {why}. Request access at {page}, then set the environment variable HF_TOKEN."
    if isinstance(cause, errors.RevisionNotFoundError):
        tip = _tip(source)
        return f"{what} has no revision '{source.revision}'.{tip} Change key 'revision'; {page}/commits lists them."
    if status == 404 or isinstance(cause, errors.RepositoryNotFoundError):
        hint = _similar(source)
        return f"{_endpoint()} has no {what}, or it is private and HF_TOKEN gives no access.{hint} Check key 'repo'."
    if status in (401, 403):
        tokens = f"{_endpoint()}/settings/tokens"
        return f"{what}: the hub refuses access ({status}). Check at {tokens} what the token in HF_TOKEN may read."
    if constants.is_offline_mode():
        return (
            f"{what} is incomplete in the cache {root()}, and HF_HUB_OFFLINE forbids fetching it. Unset it, or run "
            "once on a machine with a network and copy the cache."
        )
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, httpx2.HTTPError):
        return str(cache.disk_error(root(), error))
    reason = str(cause).strip().splitlines()[0].rstrip(".")
    return (
        f"{what} cannot be fetched from {_endpoint()}: {reason}. Check the network, the proxy settings and "
        "HF_ENDPOINT, then run again: complete files are kept."
    )


def _similar(source: Place) -> str:
    """A hint at the closest repositories of the same owner or of a similar name; empty if the hub does not answer."""
    assert source.repo is not None, "a source of this kind has a repo"
    owner, name = source.repo.split("/")
    api = HfApi(endpoint=_endpoint())
    repos = api.list_models if source.repo_type == "model" else api.list_datasets
    try:
        there = {repo.id for query in ({"author": owner}, {"search": name}) for repo in repos(**query, limit=100)}
    except httpx2.HTTPError:
        return ""
    close = difflib.get_close_matches(source.repo, sorted(there), n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _tip(source: Place) -> str:
    """A hint at the latest commit of the repository; empty if the hub does not answer."""
    try:
        tip = HfApi(endpoint=_endpoint()).repo_info(source.repo, repo_type=source.repo_type).sha
    except httpx2.HTTPError:
        return ""
    return f" The latest commit of its main branch is {tip}."


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def _client() -> httpx2.Client:
    """huggingface_hub's own client, but with a limit to how long it waits for a busy hub."""
    client = default_client_factory()
    client.event_hooks["response"].append(_refuse_long_wait)
    return client


def _refuse_long_wait(response: httpx2.Response) -> None:
    told = response.headers.get("Retry-After", "")
    if response.status_code in (429, 503) and told.isdigit() and int(told) > LONGEST_WAIT:
        raise InputError(
            f"{response.url.host} is busy ({response.status_code}) and asks to wait {told} s. Run again after that time"
            "; with HF_TOKEN set, the hub allows more requests."
        )


class _Lines(tqdm):
    """huggingface_hub's progress as lines in a log, one every ten seconds, instead of a bar."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.last, self.line = time.monotonic(), ""
        super().__init__(*args, **{**kwargs, "file": io.StringIO()})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        done, total = (tqdm.format_sizeof(value or 0) for value in (self.n, self.total))
        line = f"{self.desc.removesuffix(': ')}: {done}/{total}"
        now = time.monotonic()
        if line != self.line and (now - self.last >= SECONDS_BETWEEN_LINES or self.n and self.n == self.total):
            print(line, file=sys.stderr, flush=True)
            self.last, self.line = now, line
