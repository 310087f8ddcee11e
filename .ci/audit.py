"""Looks for known holes in the versions of constraints.txt with pip-audit.

Where its database cannot be reached it says so and exits with 0: docs/security.md has a dated list.
"""

import json
import subprocess
import sys

COMMAND = ["uv", "tool", "run", "--from", "pip-audit>=2.10,<3", "pip-audit"]
COMMAND += ["-r", "constraints.txt", "--no-deps", "--disable-pip"]
COMMAND += ["--progress-spinner", "off", "-f", "json"]
SECONDS = 180
ELSE = "docs/security.md has a dated list"


def main() -> int:
    """Print what is known; 1 if a version has a known hole."""
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        print(f"nothing was audited, pip-audit did not answer within {SECONDS} s; {ELSE}")
        return 0
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"nothing was audited, pip-audit cannot ask: {last}; {ELSE}")
        return 0
    holes = [(d, hole) for d in found for hole in d.get("vulns", [])]
    for package, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}")
    audited = sum("skip_reason" not in d for d in found)
    rest = "" if audited == len(found) else f"; of the others the database knows nothing, {ELSE}"
    print(f"{audited} of {len(found)} versions audited, {len(holes)} known holes{rest}")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
