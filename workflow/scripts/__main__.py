"""Commands for people: python workflow/scripts <command> [options]. <command> --help describes one."""

import importlib
import pkgutil
import sys

import commands
from layerwise.errors import InputError


def main(argv: list[str]) -> int | None:
    there = {module.name.replace("_", "-"): module.name for module in pkgutil.iter_modules(commands.__path__)}
    if not argv or argv[0] not in there:
        print(__doc__)
        for shown, name in there.items():
            said = importlib.import_module(f"commands.{name}").__doc__ or ""
            print(f"  {shown:<10} {said.splitlines()[0]}")
        return 0 if argv[:1] in ([], ["--help"], ["-h"]) else 2
    sys.argv[0] = f"{sys.argv[0]} {argv[0]}"
    return importlib.import_module(f"commands.{there[argv[0]]}").main(argv[1:])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(f"error: {error}")
