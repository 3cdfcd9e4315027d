"""Short programs that are run to their end, with a deadline."""

import asyncio
import sys

from .process import ROOT, die_with_parent


async def run(*command, stdin=b"", seconds):
    """Exit code, output and errors. Raises TimeoutError, and ends the program, when time is up."""
    child = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=ROOT, preexec_fn=die_with_parent, start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            out, errors = await child.communicate(stdin)
        return child.returncode, out.decode(), errors.decode()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def module(name):
    """The command that runs one of this package's programs."""
    return [sys.executable, "-m", f"chaos.{name}"]
