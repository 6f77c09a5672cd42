"""Keeps the packs that wait so that the next one is found without a look at all of them.

Packs lie in blocks by their lowest seed, in a block by program, and of a program the longest first. Taking one costs
the logarithm of their number, besides a look at the programs of one block: there are far fewer of these, as each is
compiled, which takes seconds.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.training.queue import Attempt, Program


class WaitingPacks:
    """The packs that wait, in the order in which they came where they are listed.

    Attributes:
        num_looks: Packs and programs that were looked at to find the next: for tests of what grows with their number.
    """

    def __init__(self, attempts: Iterable[Attempt] = ()) -> None:
        self.num_looks = 0
        self._numbers = itertools.count()
        self._attempts: dict[int, Attempt] = {}
        self._blocks: dict[int, SeedBlock] = {}
        self._seeds: list[int] = []
        self += attempts

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._attempts.values()))

    def __getitem__(self, index: int) -> Attempt:
        return list(self._attempts.values())[index]

    def __iadd__(self, attempts: Iterable[Attempt]) -> WaitingPacks:
        for attempt in attempts:
            self.append(attempt)
        return self

    def append(self, attempt: Attempt) -> None:
        """Let a pack wait."""
        number = next(self._numbers)
        self._attempts[number] = attempt
        seed = attempt.lowest_seed
        if seed not in self._blocks:
            self._blocks[seed] = SeedBlock()
            heapq.heappush(self._seeds, seed)
        self._blocks[seed].add(attempt.program, -attempt.pack.num_steps, number)

    def take(self, compiled: Collection[Program], others: Collection[Program], begun: Sequence[Program]) -> Attempt:
        """Take the next pack: see `bench.training.queue.Queue.take`."""
        block = self._blocks[self._seeds[0]]
        program = self._choose(block, compiled, others, begun)
        number = block.take(program)
        self._drop_empty_blocks()
        return self._attempts.pop(number)

    def pop(self, index: int = -1) -> Attempt:
        """Take a pack out by its place in the list; this looks at all of its program."""
        number = list(self._attempts)[index]
        attempt = self._attempts.pop(number)
        self._blocks[attempt.lowest_seed].remove(attempt.program, number)
        self._drop_empty_blocks()
        return attempt

    def first_of_programs(self, unknown_to: Collection[Program], most: int) -> list[Attempt]:
        """List a pack of each of the next programs that are not known, in the order of their turn."""
        found: dict[Program, Attempt] = {}
        for seed in sorted(self._blocks):
            block = self._blocks[seed]
            for program in block.in_order():
                self.num_looks += 1
                if program not in unknown_to and program not in found:
                    found[program] = self._attempts[block.first(program)[1]]
                if len(found) == most:
                    return list(found.values())
        return list(found.values())

    def _drop_empty_blocks(self) -> None:
        while self._seeds and not self._blocks[self._seeds[0]].programs:
            del self._blocks[heapq.heappop(self._seeds)]

    def _choose(
        self, block: SeedBlock, compiled: Collection[Program], others: Collection[Program], begun: Sequence[Program]
    ) -> Program:
        """Choose the program of the next pack: a compiled one, else one begun, else one that no other worker has."""
        own = block.programs.keys() & compiled
        if own and len(own) ** 2 <= len(block.programs):
            self.num_looks += len(own)
            return min(own, key=lambda program: (program in others, block.first(program)))
        if own:
            return self._longest(block, own, others)
        for program in begun:
            self.num_looks += 1
            if program in block.programs:
                return program
        return self._longest(block, block.programs.keys(), others)

    def _longest(self, block: SeedBlock, among: Collection[Program], others: Collection[Program]) -> Program:
        """Find the program with the longest pack, of those that other workers have only where there is no other."""
        shared = None
        for program in block.in_order():
            self.num_looks += 1
            if program not in among:
                continue
            if program not in others:
                return program
            shared = shared or program
        assert shared is not None
        return shared


class SeedBlock:
    """The packs of one lowest seed.

    Attributes:
        programs: Of each program, its packs as a heap of steps (negative) and numbers.
    """

    def __init__(self) -> None:
        self.programs: dict[Program, list[tuple[int, int]]] = {}
        self._order: list[tuple[int, int, Program]] = []

    def add(self, program: Program, minus_steps: int, number: int) -> None:
        """Add a pack."""
        heapq.heappush(self.programs.setdefault(program, []), (minus_steps, number))
        self._put_in_order(program)

    def first(self, program: Program) -> tuple[int, int]:
        """Return steps (negative) and number of a program's next pack: its longest, of these the first that came."""
        return self.programs[program][0]

    def take(self, program: Program) -> int:
        """Take a program's next pack out; return its number."""
        _, number = heapq.heappop(self.programs[program])
        self._put_in_order(program)
        return number

    def remove(self, program: Program, number: int) -> None:
        """Take one pack out, whichever it is."""
        self.programs[program] = [pack for pack in self.programs[program] if pack[1] != number]
        heapq.heapify(self.programs[program])
        self._put_in_order(program)

    def in_order(self) -> Iterator[Program]:
        """Yield programs by their next pack, the longest first, each once; for as long as nothing is taken or added."""
        seen: list[tuple[int, int, Program]] = []
        try:
            while self._order:
                entry = heapq.heappop(self._order)
                *pack, program = entry
                is_first = program in self.programs and self.first(program) == tuple(pack)
                if is_first and (not seen or seen[-1] != entry):  # else it is an entry of before
                    seen.append(entry)
                    yield program
        finally:
            for entry in seen:
                heapq.heappush(self._order, entry)

    def _put_in_order(self, program: Program) -> None:
        """Note which pack of a program is its next one now, or that it has none."""
        if self.programs[program]:
            heapq.heappush(self._order, (*self.first(program), program))
        else:
            del self.programs[program]
