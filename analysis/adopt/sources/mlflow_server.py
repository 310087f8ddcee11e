"""The store of MLflow behind a tracking server, asked by its REST interface.

Nothing is contacted but the address that the user typed: redirections are not followed. User,
password or token come from the variables that MLflow's own client reads.
https://mlflow.org/docs/latest/rest-api.html
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from analysis.adopt.database import shown
from analysis.adopt.histories import History, Point
from analysis.adopt.sources.mlflow_runs import Run, finite, seconds
from deepsight.config import UserError

TIMEOUT_S = 30.0
MOST_BYTES = 256 << 20
MOST_PAGES = 10_000
PAGE = 1000


class ServerStore:
    """A store behind an address ``http://HOST:PORT``. Close it after use."""

    def __init__(self, address: str) -> None:
        self._address = shown(address)
        parts = urlsplit(address)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise self._unreachable(error) from error
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._connection = kinds[parts.scheme](host, port, timeout=TIMEOUT_S)
        self._path = parts.path.rstrip("/") + "/api/2.0/mlflow/"
        self._headers = _credentials(parts.username, parts.password)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def experiments(self) -> Mapping[str, str]:
        """The names of experiments by id."""
        pages = self._pages("POST", "experiments/search", {})
        found = (e for page in pages for e in page.get("experiments", []))
        return {str(e["experiment_id"]): str(e["name"]) for e in found}

    def runs(self) -> Sequence[Run]:
        """All runs, in the order of their beginning."""
        asked: dict[str, Any] = {"experiment_ids": list(self.experiments())}
        if not asked["experiment_ids"]:
            return []
        pages = self._pages("POST", "runs/search", asked)
        runs = [_run(stated) for page in pages for stated in page.get("runs", [])]
        return sorted(runs, key=lambda run: (run.started or 0.0, run.run_id))

    def histories(self, runs: Sequence[Run]) -> Mapping[str, History]:
        """The metrics of `runs`, by run id: a request for each metric of each run."""
        return {run.run_id: dict(self._history(run)) for run in runs}

    def _history(self, run: Run) -> Iterator[tuple[str, list[Point]]]:
        stated = next(iter(self._pages("GET", "runs/get", {"run_id": run.run_id})))
        for latest in stated["run"].get("data", {}).get("metrics", []):
            asked = {"run_id": run.run_id, "metric_key": latest["key"]}
            pages = self._pages("GET", "metrics/get-history", asked)
            yield str(latest["key"]), [_point(m) for page in pages for m in page.get("metrics", [])]

    def _pages(self, method: str, what: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        token = None
        for _ in range(MOST_PAGES):
            page = self._ask(method, what, {**asked, **({"page_token": token} if token else {})})
            yield page
            token = page.get("next_page_token")
            if not token:
                return
        raise UserError(f"{self._address} answers without end.", "Is it a server of MLflow?")

    def _ask(self, method: str, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        if what != "runs/get":
            asked["max_results"] = PAGE if method == "POST" else 25_000
        path, body = quote(self._path + what), None
        if method == "GET":
            path += "?" + urlencode(asked)
        else:
            body = json.dumps(asked)
        headers = {"Content-Type": "application/json", **self._headers}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            raw = response.read(MOST_BYTES + 1)
        except (OSError, http.client.HTTPException, ssl.SSLError, ValueError) as error:
            raise self._unreachable(error) from error
        if response.status != 200:
            self._refused(response.status, raw)
        try:
            answer = json.loads(raw) if len(raw) <= MOST_BYTES else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise UserError(
                f"{self._address} does not answer as MLflow does.",
                "Give the address of the tracking server, as MLFLOW_TRACKING_URI has it.",
            )
        return answer

    def _unreachable(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return UserError(
            f"{self._address} cannot be reached: {reason}.",
            "Check the address, and that the tracking server runs.",
        )

    def _refused(self, status: int, raw: bytes) -> None:
        said = " ".join(raw[:200].decode("utf-8", "replace").split())
        remedy = "Give the address of the tracking server, as MLFLOW_TRACKING_URI has it."
        if status in (401, 403):
            remedy = (
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN."
            )
        raise UserError(f"{self._address} answers {status}: {said}.", remedy)


def _credentials(username: str | None, password: str | None) -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if username is None:
        if token:
            return {"Authorization": f"Bearer {token}"}
        username = os.environ.get("MLFLOW_TRACKING_USERNAME")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if username is None:
        return {}
    pair = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _run(stated: Mapping[str, Any]) -> Run:
    info, data = stated["info"], stated.get("data", {})
    run = Run(
        str(info["run_id"]),
        str(info["experiment_id"]),
        str(info.get("status")),
        seconds(info.get("start_time")),
        seconds(info.get("end_time")),
        {str(p["key"]): str(p.get("value", "")) for p in data.get("params", [])},
        {str(t["key"]): str(t.get("value", "")) for t in data.get("tags", [])},
    )
    if info.get("run_name"):
        run.tags["mlflow.runName"] = str(info["run_name"])
    return run


def _point(stated: Mapping[str, Any]) -> Point:
    return Point(
        int(stated.get("step", 0)),
        finite(float(stated["value"])),
        seconds(stated.get("timestamp")),
    )
