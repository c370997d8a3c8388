"""Names what a container and its host agree on: users, ports, sockets, and environment names.

The launcher and the forwarder import it, so it needs the standard library alone. The bot imports
it too, as a part of the wire contract.
"""

from enum import StrEnum

# Users of the image, each with a group of the same number; Dockerfile.bridge makes them.
BRIDGE_USER = 10_001
RUNNER_USER = 10_002

LOOPBACK = "127.0.0.1"
BRIDGE_PORT = 3001
# The forwarder listens here, for the bridge and for the tools.
GATEWAY_PORT = 3002
EGRESS_PORT = 3003
FORWARDER_GATEWAY = f"{LOOPBACK}:{GATEWAY_PORT}"
FORWARDER_EGRESS = f"{LOOPBACK}:{EGRESS_PORT}"

# The folders of a sealed container, as it sees them, and the sockets in them.
GATEWAY_FOLDER = "/run/gateway"
BRIDGE_FOLDER = "/run/bridge"
GATEWAY_SOCKET_NAME = "gateway.sock"
EGRESS_SOCKET_NAME = "egress.sock"
BRIDGE_SOCKET_NAME = "bridge.sock"

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORKSPACE_FOLDER = "/workspace"
STATE_FOLDER = "/state"


class Variable(StrEnum):
    """Names the container's environment: the bot and the launcher set it, tools never see it."""

    BRIDGE_TOKEN = "BRIDGE_TOKEN"  # noqa: S105  (the name of a variable)
    BRIDGE_SOCKET = "BRIDGE_SOCKET"
    GATEWAY_SOCKET = "GATEWAY_SOCKET"
    GATEWAY_ADDRESS = "GATEWAY_ADDRESS"
    EGRESS_SOCKET = "EGRESS_SOCKET"
    SOCKET_GID = "SOCKET_GID"
    LAUNCHER_FD = "LAUNCHER_FD"
    FORWARDER_FDS = "FORWARDER_FDS"
    WORKSPACE_DIR = "WORKSPACE_DIR"
    OPENROUTER_API_KEY = "OPENROUTER_API_KEY"
    OPENROUTER_BASE_URL = "OPENROUTER_BASE_URL"
    GIT_TOKEN = "GIT_TOKEN"  # noqa: S105  (the name of a variable)
    COMMAND_TIMEOUT_SECONDS = "COMMAND_TIMEOUT_SECONDS"
    COMMAND_ALLOW = "COMMAND_ALLOW"
    CLONE_TIMEOUT_SECONDS = "CLONE_TIMEOUT_SECONDS"
    FALLBACK_MODELS = "FALLBACK_MODELS"
    SUMMARY_MODEL = "SUMMARY_MODEL"
    PLAN_MODEL = "PLAN_MODEL"
    MODEL_CONTEXT_TOKENS = "MODEL_CONTEXT_TOKENS"
    HOLD_TASKS = "HOLD_TASKS"


# What tools get of the container's environment: paths of certificate authorities, and the proxy
# that is the only way to the web where the sandbox is sealed.
CERTIFICATE_VARIABLES = ("PIP_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "GIT_SSL_CAINFO")
PROXY_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy"),
)
# A project may have a model key of its own; the container's never reaches a tool.
_OPEN_TO_PROJECTS = frozenset({Variable.OPENROUTER_API_KEY, Variable.OPENROUTER_BASE_URL})
_RESERVED = frozenset(
    {
        *(variable.value for variable in Variable if variable not in _OPEN_TO_PROJECTS),
        *(name.upper() for name in (*CERTIFICATE_VARIABLES, *PROXY_VARIABLES)),
        # Every command gets these from the sandbox, whatever else is set.
        *("PATH", "HOME", "LANG", "TERM", "NO_COLOR", "CI"),
        # They decide which programs run, or which code a program loads before its own.
        *("ENV", "BASH_ENV", "IFS", "SHELL", "ALL_PROXY", "NODE_OPTIONS"),
        *("PERL5OPT", "PERL5LIB", "PERL5DB", "RUBYOPT", "RUBYLIB"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE"),
        *("PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "PYTHONPLATLIBDIR"),
        *("PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONCASEOK"),
        "PYTHON_PRESITE",
    }
)
# With their underscore: LDAP_URL and GITHUB_TOKEN are a project's own.
_RESERVED_PREFIXES = ("LD_", "DYLD_", "GIT_", "THREADSMITH_")


def is_reserved_variable(name: str) -> bool:
    """Tells whether the sandbox keeps this name, in either case, from the variables of people."""
    upper = name.upper()
    return upper in _RESERVED or upper.startswith(_RESERVED_PREFIXES)
