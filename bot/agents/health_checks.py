"""Runs the checks of the deployment, all at once, each with its deadline and on its own."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.domain.health import Examined, Finding, FindingError, broken
from bot.errors import BotError, UserError

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[Finding]]
# Examines the deployment, and whether the bot is in these channels.
Examination = Callable[[Sequence[str]], Awaitable[Sequence[Examined]]]

CHECK_SECONDS = 10.0


async def examine(
    checks: Mapping[str, Check], check_seconds: float = CHECK_SECONDS
) -> Sequence[Examined]:
    """Runs every check and reports in the order given, whatever becomes of any of them."""
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_run_check(name, check, check_seconds))
            for name, check in checks.items()
        ]
    return [task.result() for task in running]


async def nothing(_channels: Sequence[str]) -> Sequence[Examined]:
    """Examines nothing, where there is no deployment."""
    return ()


async def _run_check(name: str, check: Check, check_seconds: float) -> Examined:
    began = time.monotonic()
    try:
        async with asyncio.timeout(check_seconds):
            finding = await check()
    except TimeoutError:
        finding = broken(
            f"no answer within {check_seconds:.0f} s",
            "Look whether that part is up and reachable from this host, then run the doctor again.",
        )
    except FindingError as error:
        finding = error.finding
    except UserError as error:
        finding = broken(error.user_text, "")
    except BotError as error:
        finding = broken(str(error), "")
    except Exception as error:  # one check must not hide what the others found
        logger.debug("the check of %s failed", name, exc_info=True)
        finding = broken(
            f"the check itself failed: {type(error).__name__}: {error}"[:300],
            "Run it again; if it stays so, report it with this line.",
        )
    return Examined(name, finding, time.monotonic() - began)
