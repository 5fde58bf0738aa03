"""Compares what no test ran with what is explained.

    coverage.py LIST EXPORT…

Branches are the conditions of `if`, `while`, `let … else`, guards and `&&`, each with two ways: what the
compiler calls so. It does not count the arms of a `match`; hence the lines beside them, of which one is run
where anything that begins on it is. Each is named by its file and its code: lines move, code does not.
"""
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

explained_list, *exports = sys.argv[1:]
measured = re.compile(r"src/(time\.rs|time/|lifecycle/|session/)")
root = Path.cwd()
branches = defaultdict(lambda: [0, 0])
regions = defaultdict(int)
for export in exports:
    with open(export) as file:
        functions = json.load(file)["data"][0]["functions"]
    for function in functions:
        files = [Path(name) for name in function["filenames"]]
        files = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in files]
        # One place is compiled many times: generics, several programs. That one of them ran is enough.
        for line, column, end_line, end_column, true, false, file, *_ in function["branches"]:
            if measured.match(files[file]):
                both = branches[files[file], line, column, end_line, end_column]
                both[0] += true
                both[1] += false
        for line, column, end_line, end_column, count, file, _, kind in function["regions"]:
            if kind == 0 and measured.match(files[file]):
                regions[files[file], line, column, end_line, end_column] += count

code = {}


def source(path):
    if path not in code:
        code[path] = Path(path).read_text().splitlines()
    return code[path]


def name(place, way):
    path, line, column, *_ = place
    same_line = sorted({other[2] for other in branches if other[:2] == place[:2]})
    return f"{path} | {source(path)[line - 1].strip()} | {way} {same_line.index(column) + 1} |"


missing = {}
for place, both in sorted(branches.items()):
    for count, way in zip(both, ("never true", "never false")):
        if not count:
            missing[name(place, way)] = place[1]
lines = defaultdict(int)
for (file, line, column, *_), count in regions.items():
    # What ends a block, and nothing else, is where a branch that was not taken would come out.
    if source(file)[line - 1][column - 1 :].strip() != "}":
        lines[file, line] += count
for (file, line), count in sorted(lines.items()):
    if not count:
        missing[f"{file} | {source(file)[line - 1].strip()} | never run |"] = line
path = Path(explained_list)
entries = [entry for entry in path.read_text().splitlines() if entry and not entry.startswith("#")]
failed = False
for entry, line in missing.items():
    if not any(explained.startswith(entry + " ") for explained in entries):
        failed = True
        print(f"neither run nor explained, line {line}: {entry}")
for explained in entries:
    if not any(explained.startswith(entry + " ") for entry in missing):
        failed = True
        print(f"explained, and run or gone: {explained}")
if not branches or not regions:
    sys.exit("nothing was measured")
untaken = sum(1 for both in branches.values() for count in both if not count)
unrun = sum(1 for count in lines.values() if not count)
print(
    f"branches={2 * len(branches)} covered={2 * len(branches) - untaken} "
    f"lines={len(lines)} lines_run={len(lines) - unrun} explained={len(entries)}"
)
sys.exit(failed)
