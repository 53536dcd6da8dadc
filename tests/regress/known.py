# SPDX-License-Identifier: Apache-2.0
"""What may differ: known/SCRIPT.txt names the lines of a script that may be answered otherwise than
directly, each with the answers that it may have. Any other difference, in that script too, is a failure.

    # a comment
    why A sentence; it is for all lines up to the next one.
    may SELECT currval('s');
      |ERROR:  the whole answer, line by line
      ~ +[0-9]+        (a line that must match as a whole)
    must 2 EXECUTE p;

`may` and `must` name a line of the script, as it stands there; with a number, its second occurrence and so
on; of a statement of several lines, the last. Without lines below it is not answered at all. Several
entries for one line are several answers that it may have. After `must` it has one of them always, in every
pass through pgweir; `must cached` and `must pooled` are for that pass, and so is `may`.

known/anywhere.txt has sentences (`may` and a number of its own, then lines) that may come in addition, as they
stand there, in front of any one answer of any script."""
import collections
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY = re.compile(r"(may|must)( cached| pooled)?( \d+)? (.*)")


def _behind(script, at, line):
    """Where the script goes on behind this line of its output; None: it is not one of the script."""
    if at < len(script) and script[at] == line:
        return at + 1
    # psql does not repeat the data of a COPY.
    if any("stdin" in before.lower() for before in script[max(at - 6, 0):at]) and "\\." in script[at:]:
        end = script.index("\\.", at) + 1
        if end < len(script) and script[end] == line:
            return end + 1
    return None


def answers(script, output):
    """What came behind each line of the script: a dictionary of (line, its how manieth) to a tuple of
    lines, without blank ones at either end. psql -a repeats the script as it reads it, but for blank
    lines between statements."""
    script = [line for line in script if line]
    key, at, seen = ("", 0), 0, collections.Counter()
    found = {key: []}
    for line in output:
        line = line.rstrip("\n")
        behind = _behind(script, at, line)
        if behind is None:
            found[key].append(line)
        else:
            at = behind
            seen[line] += 1
            key = (line, seen[line])
            found[key] = []
    return {key: tuple("\n".join(lines).strip("\n").split("\n")) for key, lines in found.items()}


class Entry:
    def __init__(self, must, kind, key, why):
        self.must, self.kind, self.key, self.why = must, kind, key, why
        self.lines = []  # (is a pattern, text)

    def fits(self, answer):
        lines = self.lines or [(False, "")]
        return len(lines) == len(answer) and all(
            re.fullmatch(text, line) if pattern else text == line
            for (pattern, text), line in zip(lines, answer))


class Known:
    def __init__(self, directory=f"{HERE}/known"):
        self.directory = directory
        self.scripts = {name.removesuffix(".txt"): self.read(f"{directory}/{name}")
                        for name in sorted(os.listdir(directory)) if name.endswith(".txt")}
        self.anywhere = self.scripts.pop("anywhere", [])

    @staticmethod
    def read(path):
        entries, why = [], None
        with open(path, encoding="utf-8") as f:
            for line in f.read().split("\n"):
                if not line.strip() or line.startswith("#"):
                    continue
                if line.startswith("why "):
                    why = line.removeprefix("why ")
                elif line.startswith(("  |", "  ~")):
                    entries[-1].lines.append((line[2] == "~", line[3:]))
                else:
                    found = ENTRY.fullmatch(line)
                    assert found and why, f"{path}: {line}"
                    must, kind, number, text = found.groups()
                    entries.append(Entry(must == "must", kind and kind.strip(), (text, int(number or 1)), why))
        return entries

    def judge(self, kind, name, script, direct, other):
        """(reasons, bad lines) of one script's outputs, each a list of lines."""
        entries = [e for e in self.scripts.get(name, []) if e.kind in (None, kind)]
        if direct == other:
            differing, wanted, got = [], {}, {}
        else:
            wanted, got = answers(script, direct), answers(script, other)
            differing = [key for key in wanted if wanted[key] != got.get(key)]
            differing += [key for key in got if key not in wanted]
        why, bad = [], []
        for key in differing:
            fitting = [e for e in entries if e.key == key and key in got and e.fits(got[key])]
            fitting += [e for e in self.anywhere if key in got and key in wanted and len(e.lines) > 0 and
                        e.fits(got[key][:len(e.lines)]) and (got[key][len(e.lines):] or ("",)) == wanted[key]]
            if fitting:
                why.append(fitting[0].why)
                continue
            bad.append(f"DIFFERS: {kind} {name}, directly:")
            bad += [f"  |{line}" for line in wanted.get(key, ["[not answered]"])]
            bad.append("is now:")
            bad.append(f"may {str(key[1]) + ' ' if key[1] > 1 else ''}{key[0]}")
            bad += [f"  |{line}" for line in got.get(key, ["[not answered]"])]
        if direct != other and not differing:
            bad.append(f"DIFFERS: {kind} {name}, in blank lines")
        bad += [f"SAME AGAIN: {kind} {name}: {key[0]}" for key in {e.key for e in entries if e.must}
                if key not in differing]
        return sorted(set(why)), bad

    def strangers(self, name, script):
        """Entries for lines that the script has not, or not so often."""
        count = collections.Counter(script)
        return [e.key for e in self.scripts[name] if count[e.key[0]] < e.key[1]]
