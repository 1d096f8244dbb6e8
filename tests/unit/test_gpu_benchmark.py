"""`make gpu`, tiny and on the CPU: every part of it, with the libraries that a bare machine with a GPU has."""

import json
import subprocess
import sys
from pathlib import Path

import measured

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("pydantic", "pandas", "scipy", "statsmodels", "snakemake", "accelerate", "psutil")


def test_every_part_runs_with_torch_and_transformers_alone(tmp_path):
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT}))\n"
        f"sys.argv = ['gpu.py', '--small', '--output', {str(tmp_path / 'gpu.json')!r}]\n"
        f"runpy.run_path({str(ROOT / 'tests/benchmarks/gpu.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    rows = {row["id"]: row for row in found["rows"]}
    assert {row["status"] for row in rows.values()} == {"measured"}
    assert all(row["what"] in done.stdout for row in rows.values())
    engine = rows["engine: llava-1.5-7b"]
    assert engine["count"] == 24 and 0 < engine["roofline_seconds"]
    same, total = rows["neighbours"]["note"].split(" of ")
    assert total.startswith(f"{same} ")
    page = measured.page(found)
    assert f"| {engine['what']} | {engine['count'] / engine['seconds']:.3g} responses |" in page
    assert len(page.splitlines()) == 6 + len(found["rows"])


def test_what_was_left_out_is_said():
    row = measured.Row("engine", "the engine", status="left out: 239 of 240 s are spent")
    assert row.line().endswith("left out: 239 of 240 s are spent")
    assert "| the engine |  |  |  |  | left out: 239 of 240 s are spent |" in measured.page(
        dict.fromkeys(("card", "memory", "torch", "transformers", "date"), "x") | {"rows": [vars(row)]}
    )
