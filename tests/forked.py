"""Scripts run in processes of their own that need not load the libraries first, which takes seconds a script.

One server a test process loads them, then forks for each script. Nothing has been computed in it, so that a fork finds no
thread to wait for.
"""

import multiprocessing
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import matplotlib

LOADED = ["torch_geometric", "scipy.stats", "sklearn.linear_model", "matplotlib.pyplot", "pydantic"]


def _run(script: str, folder: str, environment: Mapping[str, str], errors: str) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    matplotlib.use("agg")
    sys.path.insert(0, str(Path(script).parent))
    sys.argv = [script]
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = nowhere
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            if end.code:
                Path(errors).write_text(f"exit {end.code}")
        except BaseException:
            Path(errors).write_text(traceback.format_exc())
            raise


def run_script(script: Path, folder: Path, **environment: str) -> str:
    """Run a script from a folder; what it raised, and nothing if all went well."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
    errors = folder / "raised.txt"
    process = context.Process(target=_run, args=(str(script), str(folder), environment, str(errors)))
    process.start()
    process.join(600)
    if process.is_alive():
        process.kill()
        return "still running after ten minutes"
    return errors.read_text() if errors.exists() else "" if process.exitcode == 0 else f"exit {process.exitcode}"
