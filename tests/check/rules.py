# SPDX-License-Identifier: Apache-2.0
"""The repository's own rules, checked from its text alone. Prints each breach as file:line: sentence
and ends with status 1 when there is one. `rules.py --warnings` shows also what is only advised."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = {"base": {"base"}, "config": {"base", "config"}, "pool": {"base", "pool"}, "cache": {"base", "cache"},
          "proxy": {"base", "config", "pool", "cache", "proxy"}}
# Libraries that only some folders may see.
OWNED = {"ev.h": "proxy/", "libpq-fe.h": "proxy/", "openssl/": "proxy/", "microhttpd.h": "proxy/console/",
         "pg_query.h": "proxy/sql/", "pg_query/": "proxy/sql/", "systemd/": "proxy/"}
FILE_LINES, FILE_LINES_ADVISED, LINE_LENGTH, FUNCTION_LINES = 600, 300, 100, 100
GENERATED = re.compile(r"_table\.h$")
SOURCE = re.compile(r"\.(c|h|py|sh)$|^Makefile$")

breaches, advice = [], []


def breach(path, line, sentence):
    breaches.append(f"{path}:{line}: {sentence}")


def tracked():
    """Files of the repository: in git, or about to be."""
    listing = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        # No git, or a copy without its history: what lies here, without what was built.
        names = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, files in os.walk(ROOT) for f in files]
        names = [n for n in names if not n.startswith(("build", ".git/")) and "/." not in n]
    return sorted({n for n in names if n and os.path.isfile(os.path.join(ROOT, n))})


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read().split("\n")


def check_licence(path, lines):
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:4]):
        breach(path, 1, "no SPDX line")


def check_includes(path, lines):
    layer = path.split("/")[0]
    first = None
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        own, name = m.group(1) == '"', m.group(2)
        first = first or (name if own else "<" + name)
        if own and layer in LAYERS:
            target = name.split("/")[0]
            if not os.path.exists(os.path.join(ROOT, name)):
                breach(path, n, f'"{name}" is not a path from the root')
            elif target not in LAYERS[layer]:
                breach(path, n, f"{layer}/ may not include {target}/")
        for library, owner in OWNED.items():
            if name.startswith(library) and layer in LAYERS and not path.startswith(owner):
                breach(path, n, f"only {owner} may include <{name}>")
    header = path[:-2] + ".h"
    if path.endswith(".c") and layer in LAYERS and os.path.exists(os.path.join(ROOT, header)) and first != header:
        breach(path, 1, f'includes "{header}" not first')
    if path.endswith(".h") and "#pragma once" not in lines:
        breach(path, 1, "no #pragma once")


def check_sizes(path, lines):
    if len(lines) - 1 > FILE_LINES and not path.startswith("tests/"):
        breach(path, FILE_LINES, f"{len(lines) - 1} lines; {FILE_LINES} is the most")
    elif len(lines) - 1 > FILE_LINES_ADVISED:
        advice.append(f"{path}: {len(lines) - 1} lines (aim at {FILE_LINES_ADVISED})")
    for n, line in enumerate(lines, 1):
        if len(line) > LINE_LENGTH:
            breach(path, n, f"{len(line)} columns; {LINE_LENGTH} is the most")
        if "\t" in line:
            breach(path, n, "a tab")
        if line != line.rstrip():
            breach(path, n, "white space at the end")


def check_functions(path, lines):
    """A function begins with '{' in the first column, as clang-format writes it, and ends with '}'."""
    start = None
    for n, line in enumerate(lines, 1):
        if line == "{":
            start = n
        elif line == "}" and start:
            if n - start - 1 > FUNCTION_LINES:
                breach(path, start, f"a function of {n - start - 1} lines; {FUNCTION_LINES} is the most")
            start = None


def check_architecture(names):
    """docs/architecture.md names every folder and every file (without its ending) of the program."""
    document = "docs/architecture.md"
    if document not in names:
        breach(document, 1, "missing")
        return
    text = "\n".join(lines_of(document))
    folders = {os.path.dirname(n) for n in names if n.split("/")[0] in LAYERS and n.endswith((".c", ".h"))}
    folders |= {n.split("/")[0] for n in names if "/" in n and not n.startswith(".")}
    for folder in sorted(folders):
        if f"{folder}/" not in text:
            breach(document, 1, f"does not name the folder {folder}/")
    for name in sorted(n for n in names if n.split("/")[0] in LAYERS and n.endswith((".c", ".h"))):
        stem = os.path.splitext(os.path.basename(name))[0]
        if not re.search(rf"\b{re.escape(stem)}\b", text):
            breach(document, 1, f"does not name {name}")


def check_links(names):
    """Relative links of the documents lead somewhere."""
    for path in (n for n in names if n.endswith(".md")):
        for n, line in enumerate(lines_of(path), 1):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not os.path.exists(os.path.normpath(os.path.join(ROOT, os.path.dirname(path), target))):
                    breach(path, n, f"a link to {target}, which is not there")


def check_failures(names):
    """The tests that docs/failures.md names are there: `NN_file`, `NN_file/test`, and `test` behind one."""
    path = "docs/failures.md"
    tests = {os.path.splitext(os.path.basename(n))[0]: re.findall(r"^def test_(\w+)", "\n".join(lines_of(n)), re.M)
             for n in names if n.startswith("tests/scenario/")}
    for n, line in enumerate(lines_of(path), 1):
        file = None
        for word in re.findall(r"`(\w+(?:/\w+)?)`", line):
            if re.match(r"\d\d_\w", word):
                file, _, test = word.partition("/")
            else:
                test = word
            if file and (file not in tests or test and test not in tests[file]):
                breach(path, n, f"there is no test {file}/{test}")


def surface():
    """What a DBA can set and say, from the tables in the source: {section of docs/coverage.md: names}."""
    def found(path, pattern):
        return re.findall(pattern, "\n".join(lines_of(path)), re.M)
    lines = "\n".join(lines_of("config/line.c"))
    keys = {kind: re.findall(r'^    \{"(\w+)"', block, re.M)
            for kind, block in re.findall(r"struct key (\w+)_keys\[\] = \{(.*?)\n\};", lines, re.S)}
    console = found("proxy/console/command.c", r'\{"(\w+)", (?:command_\w+|show), (?:true|false)\}')
    shows = [name for path in tracked() if re.match(r"proxy/console/show\w*\.c$", path)
             for name in found(path, r'^    \{"(\w+)",(?:$| \{)')]
    return {"Settings": found("config/option_table.c", r'^    \{[A-Z_]+\("(\w+)"'),
            "[databases]": keys["database"], "[users]": keys["user"], "[peers]": keys["peer"],
            "Console": [c.upper() for c in console] + ["SET"] + [f"SHOW {s.upper()}" for s in shows]}


def check_coverage(names):
    """docs/coverage.md names, for each of those, a test that is there and whose file speaks of it."""
    path = "docs/coverage.md"
    texts = {os.path.splitext(os.path.basename(n))[0]: "\n".join(lines_of(n))
             for n in names if n.startswith("tests/scenario/")}
    section, rows = None, {}
    for n, line in enumerate(lines_of(path), 1):
        if line.startswith("## "):
            section = line[3:]
        row = re.match(r"\| `([^`]+)` \| (.*) \|$", line)
        if row:
            rows[section, row.group(1)] = n
            for file, _, test in (word.partition("/") for word in re.findall(r"`(\w+/?\w*)`", row.group(2))):
                if file not in texts or test and not re.search(rf"^def test_{test}\b", texts[file], re.M):
                    breach(path, n, f"there is no test {file}/{test}")
                elif not re.search(rf"\b{row.group(1).split()[-1]}\b", texts[file], re.I):
                    breach(path, n, f"{file} does not speak of {row.group(1)}")
    wanted = {(s, name) for s, all_of_them in surface().items() for name in all_of_them}
    for s, name in sorted(wanted - set(rows)):
        breach(path, 1, f"no row for {name} under {s}: which scenario test shows its effect?")
    for s, name in sorted(set(rows) - wanted):
        breach(path, rows[s, name], f"{name} is not in the source")


def main():
    names = tracked()
    for path in names:
        if not SOURCE.search(os.path.basename(path)) and path != ".ci/run":
            continue
        lines = lines_of(path)
        check_licence(path, lines)
        if path.endswith((".c", ".h")):
            check_includes(path, lines)
            if not GENERATED.search(path):
                check_sizes(path, lines)
                check_functions(path, lines)
    check_architecture(names)
    check_links(names)
    check_failures(names)
    check_coverage(names)
    for line in breaches:
        print(line)
    if "--warnings" in sys.argv:
        print("\n".join(advice))
    return 1 if breaches else 0


sys.exit(main())
