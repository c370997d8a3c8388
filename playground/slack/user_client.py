"""Acts in the workspace as a person: each thing that a human could do is a method."""

from dataclasses import dataclass

from playground.slack.app_answers import show_answer
from playground.slack.elements import CLICKED, action_of, elements_of, find_element, input_value
from playground.slack.errors import SlackError
from playground.slack.event_delivery import DeliveryFailed, Kind
from playground.slack.methods.view_methods import new_view, replace_view
from playground.slack.observer import CannotDo, Observer
from playground.slack.rules import check_view
from playground.slack.slack_state import BOT_USER_ID, File, Json, SlackMessage, View
from playground.slack.trigger_tokens import ResponseUrl


@dataclass(frozen=True, slots=True)
class InteractionOutcome:
    """The answer of the app to a command or an interaction. `error` is "" when acknowledged."""

    error: str = ""
    answer: Json | str | None = None

    @property
    def ok(self) -> bool:
        return not self.error


class UserClient(Observer):
    """Acts as one user. Channels are named by id or name; raises CannotDo."""

    async def slash(
        self, command: str, text: str = "", channel: str = "general", thread_ts: str | None = None
    ) -> InteractionOutcome:
        """Type a command and press return; the answer in the acknowledgement is shown."""
        if thread_ts:
            raise CannotDo(f"{command} is not supported in threads. Sorry!")
        place = self.channel(channel)
        tokens = self.workspace.trigger_tokens.both(self.user.id, place.id)
        payload = self.workspace.payloads.slash_command(self.user, place, command, text, tokens)
        outcome = await self._ask("slash_commands", payload)
        answer = {"text": outcome.answer} if isinstance(outcome.answer, str) else outcome.answer
        if answer:
            url = ResponseUrl(place.id, self.user.id, 0.0)
            try:
                show_answer(self.workspace, url, answer, "ack")
            except SlackError as error:
                return InteractionOutcome(error=error.code, answer=answer)
        return outcome

    async def say(
        self,
        text: str,
        channel: str = "general",
        thread_ts: str | None = None,
        *,
        mention: bool = False,
        broadcast: bool = False,
        file: File | None = None,
    ) -> str:
        """Post a message; returns its ts. `mention` puts the app's mention in front."""
        place = self.channel(channel)
        if broadcast and not thread_ts:
            raise CannotDo("Only a reply can be sent to the channel too.")
        if thread_ts and self.message(channel, thread_ts).is_reply:
            raise CannotDo("A reply has no thread of its own.")
        subtype = "file_share" if file else "thread_broadcast" if broadcast else None
        message = SlackMessage(
            channel=place.id,
            ts=self.workspace.state.next_ts(),
            user=self.user.id,
            text=f"<@{BOT_USER_ID}> {text}" if mention else text,
            thread_ts=thread_ts,
            client_msg_id=self.workspace.state.next_token("message"),
            subtype=subtype,
            files=[file.id] if file else [],
        )
        if file:
            self.workspace.share_file(file, message)
        else:
            self.workspace.post(message)
        return message.ts

    async def upload(
        self,
        name: str,
        content: bytes,
        text: str = "",
        channel: str = "general",
        thread_ts: str | None = None,
    ) -> str:
        """Share a file; returns the message's ts."""
        state = self.workspace.state
        file_id = state.next_id("F0")
        file = File(file_id, name, name, self.user.id, int(state.clock()), content=content)
        file.completed = True
        state.files[file_id] = file
        return await self.say(text, channel, thread_ts, file=file)

    async def edit(self, channel: str, ts: str, text: str) -> None:
        self.workspace.change(self._own(channel, ts), self.user.id, text=text)

    async def delete(self, channel: str, ts: str) -> None:
        self.workspace.delete(self._own(channel, ts))

    async def react(self, channel: str, ts: str, name: str) -> None:
        self.workspace.react(self.message(channel, ts), self.user.id, name.strip(":"))

    async def unreact(self, channel: str, ts: str, name: str) -> None:
        self.workspace.unreact(self.message(channel, ts), self.user.id, name.strip(":"))

    async def read(self, place: str, ts: str) -> None:
        """Have read a channel, or a thread as `channel:thread_ts`, up to a message."""
        channel, _, thread_ts = place.partition(":")
        if thread_ts:
            self.message(channel, thread_ts)
        self.workspace.read(self.user.id, f"{self.channel(channel).id}{place[len(channel) :]}", ts)

    async def invite(self, channel: str) -> None:
        """Add the app to a channel, as `/invite` does."""
        self.workspace.invite_app(self.channel(channel))

    async def dismiss(self, ts: str) -> None:
        """Take a private message away."""
        self.workspace.dismiss(self.user.id, ts)

    async def stop_session(self, channel: str, thread_ts: str) -> None:
        """Press Slack's own stop button of a thread."""
        place = self.channel(channel)
        self.workspace.emit(
            self.workspace.payloads.session_stopped(self.user.id, place.id, thread_ts)
        )

    async def open_home(self, tab: str = "home") -> None:
        """Open the app's home; the app gets an event and may publish a view."""
        place = self.workspace.state.direct_channel(self.user.id)
        home = self.workspace.state.homes.get(self.user.id)
        self.workspace.emit(
            self.workspace.payloads.app_home_opened(self.user.id, place.id, tab, home)
        )

    async def click(
        self, action_id: str, channel: str, ts: str | None = None, value: str | None = None
    ) -> InteractionOutcome:
        """Click a button, or choose `value` in a menu, of a message.

        Without `ts` it is the newest message of the channel, threads included, that has the
        element. Private messages are found too.
        """
        message, ephemeral = self._clickable(action_id, channel, ts, value)
        match = find_element(message.blocks, action_id, value)
        if match is None:
            raise CannotDo(f"Nothing to click with action_id {action_id}.")
        action = action_of(*match, value, self.workspace.state.next_ts())
        tokens = self.workspace.trigger_tokens.both(
            self.user.id,
            message.channel,
            message_ts=message.ts,
            thread_ts=message.thread_ts,
            ephemeral=ephemeral,
        )
        payload = self.workspace.payloads.message_actions(
            self.user, message, action, tokens, ephemeral=ephemeral
        )
        return await self._ask("interactive", payload)

    async def click_view(
        self,
        action_id: str,
        value: str | None = None,
        values: Json | None = None,
        view_id: str | None = None,
    ) -> InteractionOutcome:
        """Click in the top modal, or in the app's home when no modal is open.

        `view_id` names one of the two; `values` is what was typed so far, by action_id.
        """
        home = self.workspace.state.homes.get(self.user.id)
        view = next(iter(self.views()[-1:]), home)
        if home is not None and home.id == view_id:
            view = home
        match = find_element(view.spec.get("blocks", []), action_id, value) if view else None
        if view is None or match is None:
            raise CannotDo(f"No view with an element {action_id} is open.")
        self._type(view, values or {})
        action = action_of(*match, value, self.workspace.state.next_ts())
        trigger_id = self.workspace.trigger_tokens.trigger(self.user.id, view.id)
        payload = self.workspace.payloads.view_actions(self.user, view, action, trigger_id)
        return await self._ask("interactive", payload)

    async def shortcut(self, callback_id: str, channel: str, ts: str) -> InteractionOutcome:
        """Use a message shortcut on any message."""
        message = self.message(channel, ts)
        tokens = self.workspace.trigger_tokens.both(
            self.user.id, message.channel, message_ts=ts, thread_ts=message.thread_ts
        )
        payload = self.workspace.payloads.message_shortcut(self.user, message, callback_id, tokens)
        return await self._ask("interactive", payload)

    async def global_shortcut(self, callback_id: str) -> InteractionOutcome:
        trigger_id = self.workspace.trigger_tokens.trigger(self.user.id)
        payload = self.workspace.payloads.global_shortcut(self.user, callback_id, trigger_id)
        return await self._ask("interactive", payload)

    async def submit_view(self, values: Json | None = None) -> InteractionOutcome:
        """Fill in the top modal and submit it. `values` is by action_id; the rest stays as it is.

        `outcome.answer` holds the app's `response_action`; with errors the modal stays open.
        """
        view = self._top_view()
        self._type(view, values or {})
        trigger_id = self.workspace.trigger_tokens.trigger(self.user.id, view.id)
        payload = self.workspace.payloads.view_submission(self.user, view, trigger_id)
        outcome = await self._ask("interactive", payload)
        if outcome.ok:
            self._after_submission(view, outcome.answer)
        return outcome

    def _type(self, view: View, values: Json) -> None:
        """Keep what was typed; every other input holds its initial value."""
        for block, element in elements_of(view.spec.get("blocks", [])):
            if element["type"] in CLICKED:
                continue
            action_id = element["action_id"]
            held = view.values.setdefault(block["block_id"], {})
            if action_id in values or action_id not in held:
                held[action_id] = input_value(element, values.get(action_id))

    async def suggest(self, action_id: str, value: str, channel: str = "", ts: str = "") -> Json:
        """Type into a menu whose options the app gives; returns its answer."""
        view = next(iter(self.views()[-1:]), self.workspace.state.homes.get(self.user.id))
        message = self._clickable(action_id, channel, ts, None)[0] if ts else None
        blocks = message.blocks if message else view.spec.get("blocks", []) if view else []
        match = find_element(blocks, action_id)
        if match is None:
            raise CannotDo(f"No menu {action_id} is open.")
        place = self.workspace.payloads.place(message, None if message else view)
        payload = self.workspace.payloads.suggestion(self.user, match[0], action_id, value, place)
        outcome = await self._ask("interactive", payload)
        return outcome.answer if isinstance(outcome.answer, dict) else {"options": []}

    async def close_view(self) -> InteractionOutcome:
        """Press the top modal's cancel button."""
        view = self._top_view()
        self.workspace.close_views(self.user.id)
        if not view.spec.get("notify_on_close"):
            return InteractionOutcome()
        return await self._ask("interactive", self.workspace.payloads.view_closed(self.user, view))

    def _after_submission(self, view: View, answer: Json | str | None) -> None:
        action = answer.get("response_action") if isinstance(answer, dict) else None
        match action:
            case None:
                self.workspace.close_views(self.user.id)
            case "clear":
                self.workspace.close_views(self.user.id, all_of_them=True)
            case "update" if isinstance(answer, dict):
                replace_view(self.workspace, view, check_view(answer.get("view")))
            case "push" if isinstance(answer, dict):
                spec = check_view(answer.get("view"))
                self.workspace.show_view(new_view(self.workspace, spec, self.user.id, view))
            case _:
                return

    def _top_view(self) -> View:
        if not (views := self.views()):
            raise CannotDo("No modal is open.")
        return views[-1]

    def _clickable(
        self, action_id: str, channel: str, ts: str | None, value: str | None
    ) -> tuple[SlackMessage, bool]:
        """Return the message to click in, and whether it is a private one."""
        place = self.channel(channel)
        private = [
            SlackMessage(e.channel, e.ts, BOT_USER_ID, e.text, e.blocks, thread_ts=e.thread_ts)
            for e in self.ephemerals(channel)
        ]
        seen = [(m, False) for m in place.messages.values()] + [(m, True) for m in private]
        for message, ephemeral in sorted(seen, key=lambda pair: pair[0].ts, reverse=True):
            if ts in (None, message.ts) and find_element(message.blocks, action_id, value):
                return message, ephemeral
        raise CannotDo(f"Nothing to click with action_id {action_id} in #{place.name}.")

    def _own(self, channel: str, ts: str) -> SlackMessage:
        message = self.message(channel, ts)
        if message.user != self.user.id:
            raise CannotDo("That is somebody else's message.")
        return message

    async def _ask(self, kind: Kind, payload: Json) -> InteractionOutcome:
        try:
            return InteractionOutcome(answer=await self.workspace.delivery.ask(kind, payload))
        except DeliveryFailed as failure:
            # The client shows this in red: the app did not answer in time.
            error = "operation_timeout" if "timeout" in failure.reason else "dispatch_failed"
            self.workspace.feed.record("dispatch_failed", user=self.user.id, error=error)
            return InteractionOutcome(error=error)
