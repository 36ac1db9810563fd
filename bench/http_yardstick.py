# SPDX-License-Identifier: Apache-2.0
"""
The yardstick of `bench.http`: Starlette on uvicorn before PostgreSQL, through asyncpg.

Written as well as can be: documents are jsonb, go in and out as text that nobody decodes, with
prepared statements on a pool; uvicorn has uvloop and httptools; commits are durable.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POOL = 20
JSON = "application/json"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Hold the pool while the application runs."""
    dsn = os.environ["YARDSTICK_DSN"]
    async with asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL) as pool:
        app.state.pool = pool
        yield


async def insert(request: Request) -> Response:
    """Store one document."""
    body = await request.body()
    id_ = orjson.loads(body)["_id"]
    await request.app.state.pool.execute(
        "INSERT INTO orders (id, doc) VALUES ($1, $2::text::jsonb)", id_, body.decode()
    )
    return Response(orjson.dumps({"mutatedDocumentIds": [id_]}), media_type=JSON)


async def by_id(request: Request) -> Response:
    """Read one document."""
    id_ = orjson.loads(await request.body())["id"]
    text = await request.app.state.pool.fetchval("SELECT doc::text FROM orders WHERE id = $1", id_)
    return Response('{"items":[' + text + "]}", media_type=JSON)


async def by_customer(request: Request) -> Response:
    """Read the documents of one customer, over an index."""
    customer = orjson.loads(await request.body())["customer"]
    rows = await request.app.state.pool.fetch(
        "SELECT doc::text FROM orders WHERE (doc->>'customer')::int = $1", customer
    )
    return Response('{"items":[' + ",".join(row[0] for row in rows) + "]}", media_type=JSON)


app = Starlette(
    routes=[
        Route("/insert", insert, methods=["POST"]),
        Route("/by-id", by_id, methods=["POST"]),
        Route("/filter", by_customer, methods=["POST"]),
    ],
    lifespan=lifespan,
)
