import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from playground.server import Playground
from tests.integration.playground.bolt import refused

GENERAL = "C0GENERAL0"
RANDOM = "C000RANDOM"


async def test_auth_test_names_the_scopes(client: AsyncWebClient) -> None:
    answer = await client.auth_test()
    assert answer["user"] == "threadsmith"
    assert "chat:write" in answer.headers["x-oauth-scopes"]


async def test_tokens_are_checked_by_kind(playground: Playground) -> None:
    url = playground.slack_url
    app_token, bot_token = playground.app_token, playground.bot_token
    wrong = AsyncWebClient(token="xoxb-wrong", base_url=url)
    assert await refused(wrong.auth_test()) == "invalid_auth"
    assert await refused(AsyncWebClient(base_url=url).auth_test()) == "not_authed"
    assert await refused(AsyncWebClient(token=app_token, base_url=url).auth_test()) == (
        "not_allowed_token_type"
    )
    bot = AsyncWebClient(base_url=url)
    assert await refused(bot.apps_connections_open(app_token=bot_token)) == (
        "not_allowed_token_type"
    )


@pytest.mark.parametrize("shape", ["query", "form", "json"])
async def test_arguments_are_read_from_query_form_and_json(
    playground: Playground, session: aiohttp.ClientSession, shape: str
) -> None:
    arguments = {"token": playground.bot_token, "channel": GENERAL}
    url = f"{playground.slack_url}conversations.info"
    match shape:
        case "query":
            request = session.get(url, params=arguments)
        case "form":
            request = session.post(url, data=arguments)
        case _:
            request = session.post(url, json=arguments)
    async with request as response:
        assert (await response.json())["channel"]["name"] == "general"


async def test_the_log_has_every_call_and_no_token(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    arguments = {"token": playground.bot_token, "channel": GENERAL, "unfurl_links": False}
    async with session.post(f"{playground.slack_url}chat.postMessage", json=arguments) as response:
        assert (await response.json())["error"] == "no_text"
    (call,) = playground.feed.entries("api_call")
    assert call.data["method"] == "chat.postMessage"
    assert call.data["arguments"] == {"channel": GENERAL, "unfurl_links": False}
    assert playground.bot_token not in str(call)


async def test_membership_and_existence_are_checked(client: AsyncWebClient) -> None:
    assert await refused(client.chat_postMessage(channel=RANDOM, text="x")) == "not_in_channel"
    assert await refused(client.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
    assert await refused(client.conversations_history(channel=RANDOM)) == "not_in_channel"
    assert await refused(client.api_call("chat.sing")) == "unknown_method"
    assert await refused(client.conversations_join(channel=RANDOM)) == "missing_scope"


async def test_a_thread_hangs_on_its_root_only(client: AsyncWebClient) -> None:
    root = await client.chat_postMessage(channel=GENERAL, text="root")
    reply = await client.chat_postMessage(channel=GENERAL, text="reply", thread_ts=root["ts"])
    below = client.chat_postMessage(channel=GENERAL, text="x", thread_ts=reply["ts"])
    assert await refused(below) == "invalid_thread_ts"
    nowhere = client.chat_postMessage(channel=GENERAL, text="x", thread_ts="1.000000")
    assert await refused(nowhere) == "thread_not_found"
    thread = await client.conversations_replies(channel=GENERAL, ts=root["ts"])
    assert [m["text"] for m in thread["messages"]] == ["root", "reply"]
    assert thread["messages"][0]["reply_count"] == 1
    history = await client.conversations_history(channel=GENERAL)
    assert [m["text"] for m in history["messages"]] == ["root"]


async def test_metadata_comes_back_only_when_asked_for(client: AsyncWebClient) -> None:
    metadata = {"event_type": "outbox", "event_payload": {"id": "42"}}
    root = await client.chat_postMessage(channel=GENERAL, text="x", metadata=metadata)
    plain = await client.conversations_replies(channel=GENERAL, ts=root["ts"])
    asked = await client.conversations_replies(
        channel=GENERAL, ts=root["ts"], include_all_metadata=True
    )
    assert "metadata" not in plain["messages"][0]
    assert asked["messages"][0]["metadata"] == metadata


async def test_history_comes_in_pages(client: AsyncWebClient) -> None:
    for number in range(3):
        await client.chat_postMessage(channel=GENERAL, text=str(number))
    first = await client.conversations_history(channel=GENERAL, limit=2)
    cursor = first["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel=GENERAL, limit=2, cursor=cursor)
    assert [m["text"] for m in [*first["messages"], *rest["messages"]]] == ["2", "1", "0"]
    assert first["has_more"]
    assert not rest["has_more"]


async def test_only_own_messages_are_changed_and_deleted(
    playground: Playground, client: AsyncWebClient
) -> None:
    ana = playground.person("ana")
    theirs = await ana.say("mine")
    assert await refused(client.chat_update(channel=GENERAL, ts=theirs, text="x")) == (
        "cant_update_message"
    )
    assert await refused(client.chat_delete(channel=GENERAL, ts=theirs)) == "cant_delete_message"
    ours = (await client.chat_postMessage(channel=GENERAL, text="one"))["ts"]
    await client.chat_update(channel=GENERAL, ts=ours, text="two")
    assert ana.message("general", ours).text == "two"
    await client.chat_delete(channel=GENERAL, ts=ours)
    assert await refused(client.chat_update(channel=GENERAL, ts=ours, text="x")) == (
        "message_not_found"
    )


async def test_block_faults_are_named_with_a_pointer(client: AsyncWebClient) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    response = caught.value.response
    assert response["error"] == "invalid_blocks"
    assert response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]


async def test_the_fifth_post_of_a_burst_gets_429_with_retry_after(
    client: AsyncWebClient,
) -> None:
    for number in range(4):
        await client.chat_postMessage(channel=GENERAL, text=str(number))
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=GENERAL, text="one too many")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    await client.chat_postMessage(channel="C000000DEV", text="another channel goes on")


async def test_an_ephemeral_is_seen_by_one_person_and_not_kept(
    playground: Playground, client: AsyncWebClient
) -> None:
    ana, ben = playground.person("ana"), playground.person("ben")
    await client.chat_postEphemeral(channel=GENERAL, user=ana.user.id, text="psst")
    assert [e.text for e in ana.ephemerals()] == ["psst"]
    assert ben.ephemerals() == []
    assert (await client.conversations_history(channel=GENERAL))["messages"] == []
    stranger = client.chat_postEphemeral(channel="C000000DEV", user="U00000EVE", text="x")
    assert await refused(stranger) == "user_not_in_channel"


async def test_reactions_are_added_once_and_removed_once(
    playground: Playground, client: AsyncWebClient
) -> None:
    ts = await playground.person("ana").say("hi")
    await client.reactions_add(channel=GENERAL, timestamp=ts, name="eyes")
    again = client.reactions_add(channel=GENERAL, timestamp=ts, name="eyes")
    assert await refused(again) == "already_reacted"
    shown = await client.reactions_get(channel=GENERAL, timestamp=ts)
    assert shown["message"]["reactions"][0]["name"] == "eyes"
    await client.reactions_remove(channel=GENERAL, timestamp=ts, name="eyes")
    gone = client.reactions_remove(channel=GENERAL, timestamp=ts, name="eyes")
    assert await refused(gone) == "no_reaction"


async def test_a_file_goes_up_in_three_steps_and_shows_in_the_thread(
    playground: Playground, client: AsyncWebClient
) -> None:
    ana = playground.person("ana")
    ts = await ana.say("show me")
    await client.files_upload_v2(
        content="--- a\n+++ b\n",
        filename="work.patch",
        snippet_type="diff",
        channel=GENERAL,
        thread_ts=ts,
        initial_comment="here",
    )
    shown = ana.thread("general", ts)[-1]
    assert shown["text"] == "here"
    assert shown["files"][0]["name"] == "work.patch"
    assert shown["files"][0]["preview"] == "--- a\n+++ b\n"
    info = await client.files_info(file=shown["files"][0]["id"])
    assert info["file"]["filetype"] == "diff"


async def test_people_and_the_team_can_be_looked_up(client: AsyncWebClient) -> None:
    people = (await client.users_list())["members"]
    eve = next(p for p in people if p["name"] == "eve")
    assert eve["is_restricted"]
    ana = (await client.users_info(user="U00000ANA"))["user"]
    assert ana["profile"]["email"] == "ana@playground.invalid"
    assert (await client.team_info())["team"]["name"] == "Playground"
    direct = await client.conversations_open(users="U00000ANA")
    await client.chat_postMessage(channel=direct["channel"]["id"], text="in private")
