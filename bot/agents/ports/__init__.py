"""Owns the ports: the interfaces through which agents reach the outside. They know no adapter.

There are nine: Store, Outbox, Runtime, Bridge, Gateway, Presenter, Directory, PullRequestHost,
Credentials; Transaction and the rows are parts of the store. A port with a fake in tests/fakes.py
has one set of checks in tests/contracts, which the fake and the real adapter pass. Three have the
real adapter alone in all tests, and their checks there: the store (tests/integration/store), the
presenter (tests/unit/bot/slack), the directory (tests/integration/handlers/test_rules.py and
test_channel_access.py).
"""
