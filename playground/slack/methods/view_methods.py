"""The views.* methods."""

from playground.slack.arguments import CallArguments
from playground.slack.block_kit import complete_view
from playground.slack.errors import SlackError
from playground.slack.methods.api_method import ApiMethod
from playground.slack.objects import view_object
from playground.slack.rules import check_view
from playground.slack.slack_state import BOT_USER_ID, Json, View
from playground.slack.slack_workspace import SlackWorkspace

MAX_STACK = 3


def new_view(
    workspace: SlackWorkspace, spec: Json, user: str, previous: View | None = None
) -> View:
    """A view ready to show; its blocks get ids."""
    complete_view(spec, workspace.state.next_id)
    view_id = workspace.state.next_id("V0")
    return View(
        id=view_id,
        kind="home" if spec["type"] == "home" else "modal",
        user=user,
        spec=spec,
        hash=workspace.state.next_token("hash"),
        root_view_id=previous.root_view_id if previous else view_id,
        previous_view_id=previous.id if previous else None,
    )


def replace_view(workspace: SlackWorkspace, view: View, spec: Json) -> View:
    """Show other content in an open view; what the person typed in kept blocks stays."""
    complete_view(spec, workspace.state.next_id)
    kept = {block["block_id"] for block in spec.get("blocks", [])}
    view.spec = spec
    view.hash = workspace.state.next_token("hash")
    view.values = {block: value for block, value in view.values.items() if block in kept}
    return workspace.show_view(view)


def _spec(args: CallArguments, kind: str) -> Json:
    spec = check_view(args.json("view", "invalid_arguments"))
    if spec["type"] != kind:
        raise SlackError("invalid_arguments")
    return spec


async def open_view(workspace: SlackWorkspace, args: CallArguments) -> Json:
    spec = _spec(args, "modal")
    trigger = workspace.trigger_tokens.take_trigger(
        args.required("trigger_id", "invalid_trigger_id")
    )
    view = workspace.show_view(new_view(workspace, spec, trigger.user))
    return {"ok": True, "view": view_object(view)}


async def push_view(workspace: SlackWorkspace, args: CallArguments) -> Json:
    spec = _spec(args, "modal")
    trigger = workspace.trigger_tokens.take_trigger(
        args.required("trigger_id", "invalid_trigger_id")
    )
    previous = workspace.state.views.get(trigger.view_id or "")
    if previous is None:
        raise SlackError("view_not_found")
    if len(workspace.state.modals.get(trigger.user, [])) >= MAX_STACK:
        raise SlackError("push_limit_reached")
    view = workspace.show_view(new_view(workspace, spec, trigger.user, previous))
    return {"ok": True, "view": view_object(view)}


async def update_view(workspace: SlackWorkspace, args: CallArguments) -> Json:
    view = workspace.state.views.get(args.text("view_id"))
    external_id = args.text("external_id")
    if view is None and external_id:
        matches = [
            v for v in workspace.state.views.values() if v.spec.get("external_id") == external_id
        ]
        view = matches[0] if matches else None
    if view is None:
        raise SlackError("not_found")
    spec = _spec(args, view.kind)
    if args.text("hash") not in ("", view.hash):
        raise SlackError("hash_conflict")
    return {"ok": True, "view": view_object(replace_view(workspace, view, spec))}


async def publish_view(workspace: SlackWorkspace, args: CallArguments) -> Json:
    user = args.required("user_id")
    if user not in workspace.state.users or user == BOT_USER_ID:
        raise SlackError("user_not_found")
    spec = _spec(args, "home")
    home = workspace.state.homes.get(user)
    if home is None:
        home = workspace.show_view(new_view(workspace, spec, user))
    elif args.text("hash") not in ("", home.hash):
        raise SlackError("hash_conflict")
    else:
        home = replace_view(workspace, home, spec)
    return {"ok": True, "view": view_object(home)}


METHODS = (
    ApiMethod("views.open", 4, open_view),
    ApiMethod("views.push", 4, push_view),
    ApiMethod("views.update", 4, update_view),
    ApiMethod("views.publish", 4, publish_view),
)
