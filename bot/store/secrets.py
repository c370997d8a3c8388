"""Stores secrets: their references in clear, their values as the caller encrypted them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, insert, select, update

from bot.domain.agent import SecretScope
from bot.domain.policy import Audit
from bot.domain.secrets import (
    SecretEntry,
    SecretKind,
    SecretRef,
)
from bot.store import tables
from bot.store.database import Engines, StoreConnection
from bot.store.rows import audit_values


class SqlSecretRows:
    """Every change is durable when the call returns, together with its entry in the record."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def all(self) -> Sequence[tuple[SecretEntry, str]]:
        """Returns every secret with its ciphertext."""
        async with self._engines.reading() as connection:
            rows = await connection.execute(select(tables.secret).order_by(tables.secret.c.at))
            return [
                (
                    SecretEntry(
                        SecretRef(
                            row.team,
                            SecretScope(row.scope),
                            row.owner,
                            SecretKind(row.kind),
                            row.name,
                        ),
                        row.exposed,
                        row.created_by,
                        row.at,
                    ),
                    row.ciphertext,
                )
                for row in rows.all()
            ]

    async def put(self, entry: SecretEntry, ciphertext: str, audit: Audit) -> None:
        """Stores a secret; it replaces the one with the same reference."""
        ref = entry.ref
        values = {
            "team": ref.team,
            "scope": ref.scope.value,
            "owner": ref.owner,
            "kind": ref.kind.value,
            "name": ref.name,
            "ciphertext": ciphertext,
            "exposed": entry.exposed,
            "created_by": entry.created_by,
            "at": entry.at,
        }
        async with self._engines.writing(durable=True) as connection:
            await _delete(connection, ref)
            await connection.execute(insert(tables.secret).values(values))
            await connection.execute(insert(tables.audit).values(audit_values(audit)))

    async def remove(self, ref: SecretRef, audit: Audit) -> bool:
        """Removes a secret; False when there is none."""
        async with self._engines.writing(durable=True) as connection:
            removed = await _delete(connection, ref)
            if removed:
                await connection.execute(insert(tables.audit).values(audit_values(audit)))
        return removed

    async def forget_all(self, now: float) -> int:
        """Removes every secret; returns how many there were."""
        async with self._engines.writing(durable=True) as connection:
            count = (await connection.execute(delete(tables.secret))).rowcount
            audit = Audit(now, "operator", "secret.remove", "all", f"{count} removed")
            await connection.execute(insert(tables.audit).values(audit_values(audit)))
        return count

    async def encrypt_anew(self, ref: SecretRef, ciphertext: str) -> None:
        """Replaces the ciphertext of the same value."""
        async with self._engines.writing(durable=True) as connection:
            await connection.execute(
                update(tables.secret).where(*_matches(ref)).values(ciphertext=ciphertext)
            )


async def _delete(connection: StoreConnection, ref: SecretRef) -> bool:
    result = await connection.execute(delete(tables.secret).where(*_matches(ref)))
    return result.rowcount == 1


def _matches(ref: SecretRef) -> tuple[ColumnElement[bool], ...]:
    row = tables.secret.c
    return (
        row.team == ref.team,
        row.scope == ref.scope.value,
        row.owner == ref.owner,
        row.kind == ref.kind.value,
        row.name == ref.name,
    )
