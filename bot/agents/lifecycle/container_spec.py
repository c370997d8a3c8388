"""What the container of an agent is made from: its image, its limits, what its bridge is told."""

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.container import (
    ContainerSpec,
    sealed_environment,
)
from bridge.container import Variable


def spec_of(deps: Dependencies, agent: Agent, *, holds_tasks: bool = False) -> ContainerSpec:
    """Describe the container; with `holds_tasks` its bridge answers and begins no task."""
    settings, access = deps.settings, deps.gateway.access(agent.id, agent.repo)
    token = access.token.get_secret_value()
    return ContainerSpec(
        agent_id=agent.id,
        image=settings.bridge_image,
        memory_bytes=settings.default_container_memory,
        nano_cpus=settings.default_container_cpu,
        folders=access.folders,
        disk_bytes=settings.container_disk_bytes,
        environment={
            **(sealed_environment(access.folders) if access.folders else {}),
            Variable.BRIDGE_TOKEN: deps.bridge_token(agent.id).get_secret_value(),
            Variable.OPENROUTER_API_KEY: token,
            Variable.OPENROUTER_BASE_URL: access.model_base_url,
            Variable.GIT_TOKEN: token,
            Variable.COMMAND_TIMEOUT_SECONDS: str(settings.command_timeout_seconds),
            Variable.COMMAND_ALLOW: ",".join(settings.programs_of(str(agent.repo))),
            Variable.CLONE_TIMEOUT_SECONDS: str(settings.clone_timeout_seconds),
            Variable.FALLBACK_MODELS: ",".join(settings.agent_fallback_models),
            Variable.SUMMARY_MODEL: settings.agent_summary_model,
            Variable.PLAN_MODEL: settings.agent_plan_model,
            Variable.MODEL_CONTEXT_TOKENS: str(settings.agent_context_tokens or ""),
            **({Variable.HOLD_TASKS: "true"} if holds_tasks else {}),
        },
    )
