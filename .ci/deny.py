"""What deny.toml says of licences, bans, duplicates and sources, checked on what cargo itself knows of the tree.
Fails on each finding; prints its figures as words."""

import collections
import json
import re
import subprocess
import sys
import tomllib

with open("deny.toml", "rb") as file:
    rules = tomllib.load(file)
with open("src/dependencies.md", encoding="utf-8") as file:
    explained = file.read()
metadata = json.loads(
    subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--all-features"])
)
packages = {package["id"]: package for package in metadata["packages"]}
root = metadata["resolve"]["root"]

# The library's tree: without what only tests need, and without what they turn on.
command = "cargo tree --all-features --edges normal,build --prefix none --no-dedupe --target"
listed = {
    tuple(line.split()[:2])
    for target in rules["graph"]["targets"]
    for line in subprocess.check_output([*command.split(), target], text=True).splitlines()
}
tree = {id for id, p in packages.items() if (p["name"], f"v{p['version']}") in listed}
users = collections.defaultdict(set)
for node in metadata["resolve"]["nodes"]:
    for dependency in node["deps"] if node["id"] in tree else []:
        if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
            users[dependency["pkg"]].add(packages[node["id"]]["name"])

findings = []


def licensed(expression):
    """Whether an SPDX expression is met by the allowed licences alone. `/` is an old `OR`."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either():
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both():
        met = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = one() and met
        return met

    def one():
        token = tokens.pop(0)
        if token == "(":
            met = either()
            tokens.pop(0)
            return met
        if tokens and tokens[0] == "WITH":
            token = f"{token} WITH {tokens[1]}"
            del tokens[:2]
        return token in rules["licenses"]["allow"]

    return either()


for package in (packages[id] for id in tree):
    name = f"{package['name']} {package['version']}"
    if not package["license"] or not licensed(package["license"]):
        findings.append(f"{name}: its licence is not allowed: {package['license']}")

banned = {ban["crate"]: ban for ban in rules["bans"]["deny"]}
for id in tree:
    name = packages[id]["name"]
    if name in banned and not users[id] <= set(banned[name].get("wrappers", [])):
        findings.append(f"{name}: banned, {banned[name]['reason']}; used by {', '.join(users[id])}")

# Of everything, tests included.
for package in packages.values():
    source = package["source"]
    if source not in (None, "registry+https://github.com/rust-lang/crates.io-index"):
        findings.append(f"{package['name']}: from {source}, which is neither crates.io nor a path")
for dependency in packages[root]["dependencies"]:
    if dependency["req"] == "*" and not dependency.get("path"):
        findings.append(f"{dependency['name']}: any version will do")

versions = collections.defaultdict(set)
for id in tree:
    versions[packages[id]["name"]].add(packages[id]["version"])
twice = {name: found for name, found in versions.items() if len(found) > 1}
skipped = dict(skip["crate"].split("@") for skip in rules["bans"]["skip"])
for name, found in sorted(twice.items()):
    kept = [v for v in found if not f"{v}.".startswith(skipped.get(name, "none") + ".")]
    if len(kept) > 1:
        findings.append(f"{name}: {', '.join(sorted(found))}, and deny.toml does not skip one")
    if f"`{name}`" not in explained:
        findings.append(f"{name}: twice, and not explained in src/dependencies.md")
for name in skipped.keys() - twice.keys():
    findings.append(f"{name}: skipped in deny.toml, and not twice")

for finding in findings:
    print(finding, file=sys.stderr)
if findings or len(tree) < 100:
    sys.exit(f"{len(findings)} findings in {len(tree)} crates")
print(f"crates={len(tree)} duplicates={len(twice)}")
