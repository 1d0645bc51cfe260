"""`python -m pipeline COMMAND` runs a command; `python -m pipeline` lists them."""

import ast
import sys
from importlib import import_module
from pathlib import Path

from pipeline.runtime.process import run

PLACES = ("commands", "reproduction")


def known() -> dict[str, tuple[str, str]]:
    """Each command by name: its module, and the first line of its docstring."""
    found = {}
    for place in PLACES:
        # Read, not imported: the list should not take the seconds that TensorFlow does.
        for file in sorted((Path(__file__).parent / place).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(isinstance(part, ast.FunctionDef) and part.name == "main" for part in tree.body):
                first = (ast.get_docstring(tree) or "").splitlines()[0]
                found[file.stem.replace("_", "-")] = f"pipeline.{place}.{file.stem}", first
    return found


def main() -> None:
    """Run the command that the first argument names, with the arguments after it."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    commands = known()
    if name in ("-h", "--help"):
        width = max(map(len, commands))
        print("usage: python -m pipeline COMMAND [--help]\n")
        print("\n".join(f"  {name:{width}}  {first}" for name, (_, first) in commands.items()))
        return
    if name not in commands:
        sys.exit(f"error: {name}: no such command; expected one of {', '.join(commands)}")
    sys.argv[:2] = [f"python -m pipeline {name}"]
    run(import_module(commands[name][0]).main)


if __name__ == "__main__":
    main()
