"""Decisions: pure values and functions. No I/O, clock, chance, asyncio or logging."""
