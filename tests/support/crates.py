"""The validator of RO-Crate and its profiles, without a network."""

import importlib.resources
import io
from pathlib import Path

import urllib3
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from rocrate_validator.models import ValidationSettings
from rocrate_validator.services import validate

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


class Shelf(HTTPAdapter):
    """Serves the JSON-LD context that lies in the library, in place of the one on the network.

    It is of RO-Crate 1.3, which has all terms of 1.1; the terms of Bioschemas have since got another address.
    """

    def send(self, request, **_):
        text = (importlib.resources.files("rocrate") / "data" / "ro-crate.jsonld").read_text(encoding="utf-8")
        body = io.BytesIO(text.replace("https://bioschemas.org/terms/", "https://bioschemas.org/").encode())
        headers = {"Content-Type": "application/ld+json"}
        return self.build_response(request, urllib3.HTTPResponse(body, headers, status=200, preload_content=False))


class Validator:
    """Says what is wrong with a crate by the profile Workflow Run Crate; `store` is where it keeps what it fetches."""

    def __init__(self, store: Path) -> None:
        self.store = str(store)
        with CachedSession(self.store, expire_after=-1) as session:
            session.mount("https://", Shelf())
            session.get(CONTEXT)

    def __call__(self, folder: Path) -> list[str]:
        settings = ValidationSettings(
            rocrate_uri=str(folder),
            profile_identifier="workflow-run-crate",
            offline=True,
            cache_path=self.store,
        )
        return [issue.message for issue in validate(settings).get_issues()]
