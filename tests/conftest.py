"""Makes the library importable the way the scripts see it: with workflow/scripts first on the path."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
sys.path.insert(0, str(ROOT / "tests" / "support"))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

from project import Project  # noqa: E402

# A busy machine is slow now and then, which says nothing about the code.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The smoke experiment, run to its end in a copy of the project, once for all workers. Copy it before editing."""
    place = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        place = place.parent
    project = Project(place / "smoke/project")
    with FileLock(place / "smoke.lock"):
        if not (place / "smoke.done").exists():
            shutil.rmtree(project.folder, ignore_errors=True)
            Project.new(project.folder).run()
            (place / "smoke.done").touch()
    return project


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished smoke experiment, to be edited."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def faults(tmp_path_factory):
    """A function that says what is wrong with the RO-Crate in a folder."""
    from crates import Validator

    return Validator(tmp_path_factory.mktemp("contexts") / "store")
