import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from bot.errors import UserError
from bot.gateway.offers import CACHE_SECONDS, Offers
from playground.feed import Feed
from playground.model.catalog import SMALL_WINDOW
from playground.model.server import ModelSettings, model_running


async def test_the_providers_list_is_read_once_in_ten_minutes() -> None:
    now = 0.0
    async with ClientSession() as session:
        async with model_running(ModelSettings(), Feed()) as model:
            offers = Offers(session, model.url, SecretStr("canary"), lambda: now)
            listed = {offer.id: offer for offer in await offers.all()}
        # The provider is gone by now, and nobody asks it again.
        assert {offer.id for offer in await offers.all()} == set(listed)
        now = CACHE_SECONDS
        with pytest.raises(UserError):
            await offers.all()
    small = listed[SMALL_WINDOW]
    assert (small.context_tokens, small.prompt_usd, small.takes_tools) == (32_768, 3.0, True)


async def test_an_address_without_a_list_is_one_sentence() -> None:
    async with ClientSession() as session, model_running(ModelSettings(), Feed()) as model:
        with pytest.raises(UserError):
            await Offers(session, f"{model.url}/nowhere", SecretStr("")).all()
