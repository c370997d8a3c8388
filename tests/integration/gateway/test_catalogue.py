from decimal import Decimal

import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from bot.config import Settings
from bot.domain.budget import NANO, Price
from bot.errors import ConfigurationError, UserError
from bot.gateway.model.catalogue import CACHE_SECONDS, Catalogue, own_prices
from playground.event_feed import EventFeed
from playground.model.catalog import SMALL_WINDOW
from playground.model.server import ModelSettings, model_running


async def test_the_providers_list_is_read_once_in_ten_minutes() -> None:
    now = 0.0
    async with ClientSession() as session:
        async with model_running(ModelSettings(), EventFeed()) as model:
            offers = Catalogue(session, model.url, SecretStr("canary"), lambda: now)
            listed = {offer.id: offer for offer in await offers.offers()}
            assert not [name for name in listed if name.startswith("fault/")]
            await offers.check_model("fault/429")  # hidden, but there for who names it
        # The provider is gone by now, and nobody asks it again.
        assert {offer.id for offer in await offers.offers()} == set(listed)
        now = CACHE_SECONDS
        with pytest.raises(UserError):
            await offers.offers()
    small = listed[SMALL_WINDOW]
    assert (small.context_tokens, small.prompt_usd, small.takes_tools) == (32_768, 3.0, True)


async def test_an_address_without_a_list_is_one_sentence() -> None:
    async with ClientSession() as session, model_running(ModelSettings(), EventFeed()) as model:
        with pytest.raises(UserError):
            await Catalogue(session, f"{model.url}/nowhere", SecretStr("")).offers()


async def test_own_prices_count_before_listed_ones_and_name_the_models_of_a_silent_server() -> None:
    prices = own_prices(Settings(model_prices=(f"{SMALL_WINDOW}=0.5/1.25", "local/qwen3=0/0")))
    async with ClientSession() as session, model_running(ModelSettings(), EventFeed()) as model:
        key = SecretStr("canary")
        listed = {
            o.id: o for o in await Catalogue(session, model.url, key, own_prices=prices).offers()
        }
        small = listed[SMALL_WINDOW]
        assert (small.prompt_usd, small.completion_usd) == (0.5, 1.25)
        assert small.context_tokens == 32_768
        catalogue = Catalogue(session, model.url, key, own_prices=prices)
        price = (await catalogue.listing_of(SMALL_WINDOW)).price
        assert price
        assert price.of(1_000_000, 1_000_000) == 1.75 * NANO

        silent = f"{model.url}/nowhere"
        named = await Catalogue(session, silent, key, own_prices=prices).offers()
        assert [offer.id for offer in named] == [SMALL_WINDOW, "local/qwen3"]
        free = (
            await Catalogue(session, silent, key, own_prices=prices).listing_of("local/qwen3")
        ).price
        assert free == Price(Decimal(0), Decimal(0))


@pytest.mark.parametrize("wrong", ["x", "x=1", "x=1/-1", "x=1/1e3", "=1/1", "x y=1/1"])
def test_a_price_that_is_none_is_named_at_the_start(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PRICES", f"ok=1/2,{wrong}")
    with pytest.raises(ConfigurationError, match="MODEL_PRICES"):
        Settings.read()
