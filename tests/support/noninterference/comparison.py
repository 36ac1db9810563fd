# SPDX-License-Identifier: Apache-2.0
"""Runs the same statements in all worlds of a scene, and says where the answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from attrs import define

from edge_twisted.api.failures import response_to
from edge_twisted.api.media import Media
from edge_twisted.api.rendering import result_response, results_response
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.response import AnyResponse, Response
from edge_twisted.errors import EdgeError
from edge_twisted.security.permissions import Access
from tests.support.noninterference.statements import Call, Questions
from tests.support.noninterference.worlds import (
    CALLER,
    Kind,
    ObservedWorld,
    Opening,
    Scene,
    in_memory,
    scene_of,
    world_of,
)

#: Statements of one scene: later ones meet what earlier ones left.
STATEMENTS: Final = 40
_REQUEST: Final = RequestId("request")


@define(kw_only=True)
class Difference(AssertionError):
    """A caller was told, or could do, what depends on hidden documents."""

    seed: int
    statements: Sequence[Call]
    answers: dict[str, bytes]

    def __str__(self) -> str:
        asked = "\n".join(f"  {text}  with {arguments}" for text, arguments in self.statements)
        said = "\n".join(f"  {kind}: {answer.decode()}" for kind, answer in self.answers.items())
        return f"seed {self.seed}, caller {CALLER}\n{asked}\n{said}"


async def interference(
    seed: int, opening: Opening = in_memory, most: int = STATEMENTS
) -> tuple[int, Difference | None]:
    """Ask a scene's worlds up to `most` statements; return how many, and what was told."""
    random = Random(seed)
    scene = scene_of(random)
    worlds = [await world_of(scene, kind, opening) for kind in Kind]
    try:
        return await _asked(seed, scene, worlds, random, most)
    finally:
        for world in worlds:
            await world.store.close()


async def _asked(
    seed: int, scene: Scene, worlds: Sequence[ObservedWorld], random: Random, most: int
) -> tuple[int, Difference | None]:
    questions = Questions(random)
    count = 0
    while count < most:
        among = worlds
        if random.random() < 0.1:
            # Whether an id is taken cannot be hidden, but what is under it can.
            among = [world for world in worlds if world.kind is not Kind.BARE]
            asked = [questions.conflicting(random.choice(scene.guarded))]
        elif random.random() < 0.1:
            asked = [questions.statement() for _ in range(random.randint(2, 3))]
        else:
            asked = [questions.statement()]
        count += len(asked)
        answers = {world.kind.value: await _answer(world, scene.access, asked) for world in among}
        if len(set(answers.values())) > 1:
            return count, Difference(seed=seed, statements=asked, answers=answers)
        for world in among:
            changed = _changed(world)
            if changed is not None:
                answers = {f"{world.kind.value} changed": changed.encode()}
                return count, Difference(seed=seed, statements=asked, answers=answers)
    return count, None


async def _answer(world: ObservedWorld, access: Access, asked: Sequence[Call]) -> bytes:
    """Return what the caller gets, to the byte."""
    database = world.database
    try:
        if len(asked) == 1:
            [(text, arguments)] = asked
            result = await database.execute(
                text,
                arguments,
                access=access,
                request_id=_REQUEST,
                timeout_seconds=None,
                stream=True,
            )
            return await _sent(result_response(result, Media.JSON))
        results = await database.transaction(
            asked, access=access, request_id=_REQUEST, timeout_seconds=None
        )
        return await _sent(results_response(results, Media.JSON))
    except EdgeError as error:
        return await _sent(response_to(error, _REQUEST))


async def _sent(response: AnyResponse) -> bytes:
    """Return the status and the body of a response, and whether it comes in pieces."""
    if isinstance(response, Response):
        return b"%d %s" % (response.status, response.body)
    pieces = [piece async for piece in response.pieces]
    return b"%d in pieces %s" % (response.status, b"".join(pieces))


def _changed(world: ObservedWorld) -> str | None:
    """Return which hidden documents are not as they were, None if all are."""
    now = world.texts_of(world.hidden)
    differing = {place: text for place, text in now.items() if text != world.hidden[place]}
    return str(differing) if differing else None
