# SPDX-License-Identifier: Apache-2.0
"""The unit file is one that systemd accepts without a remark."""
import re
import shutil
import subprocess

from runner import ROOT, Skip


def test_unit_file(ctx):
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze here")
    with open(f"{ROOT}/systemd/pgweir.service", encoding="utf-8") as f:
        text = f.read()
    assert "Type=notify" in text
    # Verification wants a program that is there.
    copy = f"{ctx.directory}/pgweir.service"
    with open(copy, "w", encoding="utf-8") as f:
        f.write(re.sub(r"ExecStart=\S+", f"ExecStart={ctx.binary}", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    remarks = [line for line in (done.stdout + done.stderr).splitlines() if "pgweir" in line]
    assert done.returncode == 0 and not remarks, done.stdout + done.stderr
