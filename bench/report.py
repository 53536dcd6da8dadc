# SPDX-License-Identifier: Apache-2.0
"""From rounds to tables: medians with their range, ratios, markdown and JSON."""
import datetime
import json
import os
import platform
import statistics

import targets

NOISY_CORES = 0.25  # a round in which strangers used more than this is left out, if others remain
FIGURES = ("tps", "p50_ms", "p99_ms", "proxy_cpu_us", "server_cpu_us", "server_scans")


def summarize(load, rounds_of):
    """The block of one load: its targets in order, each with rounds and medians."""
    block = {"load": load.title, "kind": load.kind, "protocol": load.protocol,
             "clients": load.clients, "targets": []}
    for name in load.targets:
        rounds = rounds_of.get(name, [])
        good = [one for one in rounds if "error" not in one]
        quiet = [one for one in good if one["strangers_cores"] <= NOISY_CORES]
        used = quiet or good
        row = {"target": name, "title": targets.TITLES[name], "rounds": rounds,
               "errors": [one["error"] for one in rounds if "error" in one],
               "noisy": bool(good) and not quiet, "left_out": len(good) - len(used)}
        for figure in FIGURES:
            values = [one[figure] for one in used if one.get(figure) is not None]
            if values:
                row[figure] = {"median": statistics.median(values), "min": min(values),
                               "max": max(values)}
        block["targets"].append(row)
    return block


def reference(block):
    """The row of PgBouncer in a block, in whichever mode it can carry the load, or None."""
    for row in block["targets"]:
        if row["target"].startswith("pgbouncer") and "tps" in row:
            return row
    return None


def ratio(row, other, figure):
    """row / other by the medians, or None where one of them is missing."""
    if row is None or other is None or figure not in row or figure not in other:
        return None
    below = other[figure]["median"]
    return row[figure]["median"] / below if below else None


def machine(cluster, maker):
    """What one has to know to read the figures. Nothing that names the machine."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    facts = {"time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
             "cores": os.cpu_count(), "cpu": model, "kernel": platform.release(),
             "postgresql": cluster.version(), "scale": cluster.scale}
    if maker.pgbouncer:
        facts["pgbouncer"] = ".".join(str(part) for part in maker.pgbouncer_version())
    return facts


def _spread(row, figure, digits):
    if figure not in row:
        return "-"
    value = row[figure]
    text = f"{value['median']:,.{digits}f}"
    if value["max"] > value["min"]:
        text += f" ({value['min']:,.{digits}f}-{value['max']:,.{digits}f})"
    return text


def _times(value):
    return "-" if value is None else f"{value:.2f}"


def _block_rows(block):
    direct = next((row for row in block["targets"] if row["target"] == "direct"), None)
    bouncer = reference(block)
    for row in block["targets"]:
        title = row["title"]
        if row["errors"]:
            title += " (!)"
        if row["noisy"]:
            title += " (noisy)"
        scans = f"{row['server_scans']['median']:.3f}" if "server_scans" in row else ""
        yield [title, _spread(row, "tps", 0), _spread(row, "p50_ms", 2), _spread(row, "p99_ms", 2),
               _spread(row, "proxy_cpu_us", 1), _times(ratio(row, direct, "tps")),
               _times(ratio(row, bouncer, "tps")), _times(ratio(row, bouncer, "proxy_cpu_us")),
               _spread(row, "server_cpu_us", 0).split(" ")[0], scans]


HEAD = ["target", "tps", "p50 ms", "p99 ms", "proxy CPU us", "tps / direct", "tps / PgBouncer",
        "CPU / PgBouncer", "server CPU us", "server reads"]


def markdown_table(head, rows):
    """A table that reads well both as text and as markdown."""
    rows = [head] + [list(row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) if column == 0 else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 1) + (":" if column else "-")
                                        for column, width in enumerate(widths)) + "|")
    return "\n".join(lines)


def block_text(block):
    text = f"## {block['load']}\n" + markdown_table(HEAD, _block_rows(block)) + "\n"
    for row in block["targets"]:
        for error in row["errors"][:1]:
            text += f"\n(!) {row['title']}: {len(row['errors'])} of {len(row['rounds'])} rounds " \
                    f"failed: {error}\n"
        if row["left_out"]:
            text += f"\n{row['title']}: {row['left_out']} rounds left out, the machine was busy.\n"
    return text


def plain_head(title, facts):
    """The heading of a result with one table or more."""
    return (f"# pgweir {title}, {facts['time']}\n\n{facts['cores']} cores ({facts['cpu']}), Linux "
            f"{facts['kernel']}, PostgreSQL {facts['postgresql']}, PgBouncer "
            f"{facts.get('pgbouncer', 'not run')}; all on one machine.\n")


def head_text(result):
    facts, knobs = result["machine"], result["knobs"]
    return (f"# pgweir bench, {facts['time']}\n\n"
            f"{facts['cores']} cores ({facts['cpu']}), Linux {facts['kernel']}, PostgreSQL "
            f"{facts['postgresql']}, PgBouncer {facts.get('pgbouncer', 'not run')}; pgbench scale "
            f"{facts['scale']}; load generator, server and proxy share the machine.\n"
            f"Medians (min-max) of {knobs['rounds']} interleaved rounds of {knobs['seconds']} s "
            f"after warming up; poolers: transaction mode, pool {targets.POOL_SIZE}, trust, "
            f"{knobs['transport']} sockets. CPU is for one transaction. Server reads: how many of "
            f"its reads a transaction left to PostgreSQL (0 = all from the cache).\n"
            f"Noisy: other programs used more than {NOISY_CORES} cores in every round.\n")


def idle_text(idle):
    """What each proxy uses while nobody asks it anything."""
    if not idle:
        return ""
    rows = [[targets.TITLES[name], f"{value:.2f}"] for name, value in idle.items()]
    return "## idle\n" + markdown_table(["target", "CPU ms per s"], rows) + "\n"


def publish(directory, name, result, text):
    """Shows a result, and puts it into a directory as NAME.json and NAME.md."""
    print(text)
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, name)
    with open(base + ".json", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(base + ".md", "w", encoding="utf-8") as file:
        file.write(text)
    print(f"Written: {base}.md, {base}.json")
