# SPDX-License-Identifier: Apache-2.0
"""
The load of `bench.http`: wrk, the same for both sides, with a script that makes the requests.

wrk runs on the same machine and takes its share of the cores from whichever side it drives.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

CONNECTIONS = 64
#: Documents that are there before SELECTs begin, and how many of them have the same customer.  What
#: INSERTs add has other customers, so that a filter answers with so many however many were added.
DOCUMENTS = 10_000
PER_CUSTOMER = 10
CUSTOMERS = DOCUMENTS // PER_CUSTOMER

#: Arguments: what to send, a prefix for new ids, the key.
SCRIPT = """
local kind, prefix, n = "", "", 0
local head = {["Content-Type"] = "application/json"}
local note = string.rep("n", 330)
function init(args)
  kind, prefix = args[1], args[2]
  if args[3] then head["Authorization"] = "Bearer " .. args[3] end
  math.randomseed(7)
end
local function document(id, customer)
  return string.format(
    '{"_id":"%s","customer":%d,"status":"open","total":%d.25,"lines":[{"sku":"s-1","count":2},' ..
    '{"sku":"s-2","count":1}],"note":"%s"}', id, customer, customer, note)
end
function request()
  n = n + 1
  local body, path
  if kind == "ours-insert" then
    path = "/execute"
    body = '{"statement":"INSERT INTO orders DOCUMENTS (:d)","args":{"d":' ..
      document(string.format("%s-%09d", prefix, n), 1000 + n % 1000) .. '}}'
  elseif kind == "ours-by-id" then
    path = "/execute"
    body = '{"statement":"SELECT * FROM orders WHERE _id = :id","args":{"id":"' ..
      string.format("o-%09d", math.random(0, 9999)) .. '"}}'
  elseif kind == "ours-filter" then
    path = "/execute"
    body = '{"statement":"SELECT * FROM orders WHERE customer = :c","args":{"c":' ..
      math.random(0, 999) .. '}}'
  elseif kind == "theirs-insert" then
    path = "/insert"
    body = document(string.format("%s-%09d", prefix, n), 1000 + n % 1000)
  elseif kind == "theirs-by-id" then
    path = "/by-id"
    body = '{"id":"' .. string.format("o-%09d", math.random(0, 9999)) .. '"}'
  else
    path = "/filter"
    body = '{"customer":' .. math.random(0, 999) .. '}'
  end
  return wrk.format("POST", path, head, body)
end
"""


@frozen(kw_only=True)
class Load:
    """What wrk measured."""

    rate: float
    p99_ms: float
    requests: int


def drive(folder: Path, url: str, words: Sequence[str], seconds: int) -> Load:
    """
    Send requests for so long.

    :raises RuntimeError: some were not answered with success.
    """
    script = folder / "load.lua"
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s",
         "-s", str(script), url, "--", *words],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    return Load(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", done.stdout)),
        p99_ms=_milliseconds(_found(r"\n\s+99%\s+(\S+)", done.stdout)),
        requests=int(_found(r"(\d+) requests in", done.stdout)),
    )


def document(number: int) -> dict[str, object]:
    """Return one of the documents that are there before; about as large as those of the script."""
    return {
        "_id": f"o-{number:09d}",
        "customer": number % CUSTOMERS,
        "status": "open",
        "total": number * 0.25,
        "lines": [{"sku": "s-1", "count": 2}, {"sku": "s-2", "count": 1}],
        "note": "n" * 330,
    }


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(text)
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise RuntimeError(text)
