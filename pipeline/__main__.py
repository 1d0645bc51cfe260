"""`python -m pipeline COMMAND`, or `honest-lstm COMMAND` where the package is installed."""

import ast
import sys
from difflib import get_close_matches
from pathlib import Path

from pipeline.runtime import process

PLACES = ("commands", "reproduction")
ANYWHERE = {"lstm", "lstm-memory", "predict", "serve"}  # what needs no project, or not always
PACKAGE = Path(__file__).parent


def known() -> dict[str, tuple[str, str]]:
    """Each command by name: its module, and the first line of its docstring."""
    found = {}
    for place in PLACES:
        # Read, not imported: the list should not take the seconds that TensorFlow does.
        for file in sorted((PACKAGE / place).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(isinstance(part, ast.FunctionDef) and part.name == "main" for part in tree.body):
                first = (ast.get_docstring(tree) or "").splitlines()[0]
                found[file.stem.replace("_", "-")] = f"pipeline.{place}.{file.stem}", first
    return found


def main() -> None:
    """Run the command that the first argument names, with the arguments after it."""
    called = Path(sys.argv[0])
    program = "python -m pipeline" if called.name == "__main__.py" else called.name
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    commands = known()
    if name in ("-h", "--help"):
        width = max(map(len, commands))
        print(f"usage: {program} COMMAND [--help]\n")
        print("\n".join(f"  {name:{width}}  {first}" for name, (_, first) in commands.items()))
        return
    if name not in commands:
        near = get_close_matches(name, commands, n=1)
        advice = f"did you mean {near[0]}?" if near else f"{program} lists them"
        sys.exit(f"error: {name}: no such command; {advice}")
    sys.argv[:2] = [f"{program} {name}"]
    if project := process.enter_project():
        code = project / "pipeline"
        if code.is_dir() and not code.samefile(PACKAGE):
            print(f"note: this runs {PACKAGE}, not {code}: pip install -e .", file=sys.stderr)
    elif name not in ANYWHERE and not {"-h", "--help"} & set(sys.argv):
        sys.exit(f"error: {process.MARK}: expected in this directory or above it, found in none")
    process.start(commands[name][0])


if __name__ == "__main__":
    main()
