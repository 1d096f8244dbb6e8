"""Tables that ship with the project. A data set names one and its checksum, so that a changed table is noticed."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.prompts.archive import table
from layerwise.study.settings import Settings


class Shipped(Settings):
    """Options of a builder that reads such a table."""

    file: str = Field(min_length=1, description="The table: a CSV file of the project.")
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="Checksum of the table; a changed table must rebuild the prompts.",
    )


def rows(dataset: str, options: Shipped, columns: Iterable[str], id: str) -> list[dict[str, str]]:
    """The rows of a data set's table; column `id` names each. Raises InputError for another table than it names."""
    place, path = f"config/datasets/{dataset}.yaml", Path(options.file)
    if not path.is_file():
        raise InputError(
            f"{place}: key 'options.file': no file {path}. Name a table with the columns {', '.join(columns)}."
        )
    if (found := file_digest(path)) != options.sha256:
        raise InputError(
            f"checksum mismatch: {path} has sha256 {found}, but key 'options.sha256' of {place} says "
            f"{options.sha256}. If this is the right file, change the key; its prompts are then rebuilt."
        )
    return table(path, path.name, columns, id=id)
