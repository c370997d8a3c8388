import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from playground.server import Playground
from playground.slack.observer import CannotDo
from tests.integration.playground.bolt import Bolt


def attempts(playground: Playground) -> list[tuple[int, str]]:
    deliveries = playground.feed.entries("delivery")
    return [(e.data["attempt"], e.data["reason"]) for e in deliveries]


async def test_a_message_reaches_a_listener_whose_answer_lands_in_the_thread(
    playground: Playground, bolt: Bolt
) -> None:
    @bolt.app.event("message")
    async def listen(event: dict[str, Any], say: Any) -> None:
        await say(text=f"heard: {event['text']}", thread_ts=event["ts"])

    await bolt.connect()
    ana = playground.person("ana")
    ts = await ana.say("good morning")
    answer = await ana.wait_for_message("heard: good morning", thread_ts=ts)
    assert answer["thread_ts"] == ts
    assert answer["parent_user_id"] == ana.user.id


async def test_a_mention_arrives_as_message_and_as_app_mention(
    playground: Playground, bolt: Bolt
) -> None:
    @bolt.app.event("message")
    @bolt.app.event("app_mention")
    async def listen(event: dict[str, Any]) -> None:
        await bolt.heard.put(event)

    await bolt.connect()
    ts = await playground.person("ana").say("hello", "dev", mention=True)
    first, second = await bolt.next(), await bolt.next()
    assert {first["type"], second["type"]} == {"message", "app_mention"}
    assert first["ts"] == second["ts"] == ts


async def test_the_payload_of_a_slash_acknowledgement_is_shown_to_the_person(
    playground: Playground, bolt: Bolt
) -> None:
    @bolt.app.command("/agent")
    async def listen(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"you typed {command['text']}")

    await bolt.connect()
    ben = playground.person("ben")
    outcome = await ben.slash("/agent", "help", "dev")
    assert outcome.ok
    assert ben.ephemerals("dev")[0].text == "you typed help"
    assert playground.person("ana").ephemerals() == []


async def test_a_slash_command_is_refused_in_a_thread(playground: Playground) -> None:
    ana = playground.person("ana")
    with pytest.raises(CannotDo, match="not supported in threads"):
        await ana.slash("/agent", "x", thread_ts="1.2")


async def test_a_slash_command_without_a_listener_or_an_app_fails_visibly(
    playground: Playground, bolt: Bolt
) -> None:
    ana = playground.person("ana")
    assert (await ana.slash("/agent")).error == "dispatch_failed"
    await bolt.connect()
    assert (await ana.slash("/agent")).error == "operation_timeout"


async def test_respond_answers_through_the_response_url_five_times(
    playground: Playground, bolt: Bolt, session: aiohttp.ClientSession
) -> None:
    @bolt.app.command("/agent")
    async def listen(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack()
        await respond("later, privately")
        await bolt.heard.put(command)

    await bolt.connect()
    ana = playground.person("ana")
    assert (await ana.slash("/agent")).ok
    assert (await ana.wait_for_ephemeral("later")).source == "response_url"
    url = (await bolt.next())["response_url"]
    statuses = []
    for _ in range(5):
        async with session.post(url, json={"text": "again", "response_type": "in_channel"}) as r:
            statuses.append(r.status)
    assert statuses == [200, 200, 200, 200, 404]
    assert [m["text"] for m in ana.channel_messages()] == ["again"] * 4


async def test_an_event_without_acknowledgement_is_sent_again_until_it_has_one(
    playground: Playground, bolt: Bolt
) -> None:
    seen: list[list[str] | None] = []

    @bolt.app.middleware
    async def fail_twice(request: Any, next_: Any) -> None:
        seen.append(request.headers.get("x-slack-retry-num"))
        if len(seen) < 3:
            raise RuntimeError("not stored")
        await next_()

    await bolt.hear_messages()
    await playground.person("ana").say("once")
    assert (await bolt.next())["text"] == "once"
    await playground.slack.delivery.idle()
    assert attempts(playground) == [(0, ""), (1, "timeout"), (2, "timeout")]
    assert seen[1:] == [["1"], ["2"]]
    deliveries = playground.feed.entries("delivery")
    assert len({e.data["payload"]["event_id"] for e in deliveries}) == 1


async def test_an_event_that_nobody_acknowledges_is_given_up_after_three_retries(
    playground: Playground,
) -> None:
    await playground.person("ana").say("into the void")
    await playground.slack.delivery.idle()
    assert [attempt for attempt, _ in attempts(playground)] == [0, 1, 2, 3]
    assert len(playground.feed.entries("event_given_up")) == 1


async def test_the_client_reconnects_when_asked_to_refresh(
    playground: Playground, bolt: Bolt
) -> None:
    await bolt.hear_messages()
    sockets = playground.slack.socket_mode
    await sockets.disconnect()
    await sockets.connected()
    await playground.person("ana").say("after the refresh")
    assert (await bolt.next())["text"] == "after the refresh"
    assert len(playground.feed.entries("socket_opened")) == 2


async def test_a_lost_event_stays_lost_and_a_doubled_one_comes_twice(
    playground: Playground, bolt: Bolt
) -> None:
    await bolt.hear_messages()
    playground.slack.faults.event("message", "lost")
    playground.slack.faults.event("message", "twice")
    ana = playground.person("ana")
    await ana.say("lost")
    await ana.say("twice")
    assert [(await bolt.next())["text"] for _ in range(2)] == ["twice", "twice"]


async def open_socket(
    playground: Playground, session: aiohttp.ClientSession
) -> aiohttp.ClientWebSocketResponse:
    client = AsyncWebClient(base_url=playground.slack_url, session=session)
    answer = await client.apps_connections_open(app_token=playground.app_token)
    return await session.ws_connect(answer["url"])


async def test_a_ticket_opens_one_connection(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    url = (
        await AsyncWebClient(base_url=playground.slack_url, session=session).apps_connections_open(
            app_token=playground.app_token
        )
    )["url"]
    async with session.ws_connect(url) as socket:
        assert (await socket.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_each_payload_goes_to_exactly_one_of_many_connections(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    sockets = [await open_socket(playground, session) for _ in range(2)]
    hellos = [await socket.receive_json() for socket in sockets]
    assert [hello["num_connections"] for hello in hellos] == [1, 2]
    ana = playground.person("ana")
    for number in range(4):
        await ana.say(str(number))
    texts = []
    for socket in sockets:
        for _ in range(2):
            envelope = await socket.receive_json()
            texts.append(envelope["payload"]["event"]["text"])
            await socket.send_json({"envelope_id": envelope["envelope_id"]})
    await playground.slack.delivery.idle()
    assert sorted(texts) == ["0", "1", "2", "3"]
    assert {a for a, _ in attempts(playground)} == {0}
    for socket in sockets:
        await socket.close()


async def test_the_eleventh_connection_is_sent_away(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    sockets = [await open_socket(playground, session) for _ in range(11)]
    frame = await sockets[-1].receive_json()
    assert (frame["type"], frame["reason"]) == ("disconnect", "too_many_websockets")
    for socket in sockets:
        await socket.close()


async def test_bad_frames_are_passed_over(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    socket = await open_socket(playground, session)
    await socket.receive_json()
    for frame in ("", "no json", "[]", "{}", '{"envelope_id": [7]}', "null"):
        await socket.send_str(frame)
    await playground.person("ana").say("still there")
    async with asyncio.timeout(5):
        envelope = await socket.receive_json()
    assert envelope["payload"]["event"]["text"] == "still there"
    await socket.send_json({"envelope_id": envelope["envelope_id"]})
    await socket.close()


async def test_a_dropped_connection_ends_without_a_word(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    socket = await open_socket(playground, session)
    await socket.receive_json()
    playground.slack.socket_mode.drop()
    assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert playground.slack.socket_mode.connections == 0


async def test_a_private_message_with_a_button_is_replaced_through_its_response_url(
    playground: Playground, bolt: Bolt
) -> None:
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}

    @bolt.app.command("/agent")
    async def offer(ack: Any) -> None:
        blocks = [{"type": "actions", "elements": [button]}]
        await ack(text="sure?", blocks=blocks)

    @bolt.app.action("go")
    async def clicked(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="gone", replace_original=True)

    await bolt.connect()
    ana = playground.person("ana")
    assert (await ana.slash("/agent")).ok
    assert (await ana.click("go", "general")).ok
    await ana.wait_for_ephemeral("gone")
    assert [e.text for e in ana.ephemerals()] == ["gone"]


async def test_what_slack_would_refuse_in_an_answer_is_an_error_of_the_command(
    playground: Playground, bolt: Bolt
) -> None:
    @bolt.app.command("/agent")
    async def answer(ack: Any) -> None:
        await ack(text="x", blocks=[{"type": "section"}])

    await bolt.connect()
    assert (await playground.person("ana").slash("/agent")).error == "invalid_blocks"
