"""Questions and keys that tests of language models share."""

from collections.abc import Mapping

from marketbot_resources import settings
from marketbot_resources.llm import LlmRequest

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["ok"],
    "properties": {"ok": {"type": "boolean"}},
}
KEYS = {
    "OPENAI_API_KEY": "sk-test-openai-Zq81LmXx",
    "ANTHROPIC_API_KEY": "sk-test-anthropic-Yw72KnVv",
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST1234",
    "AWS_SECRET_ACCESS_KEY": "test-aws-secret-Xv63JmUu",
    "AWS_SESSION_TOKEN": "test-aws-session-Wu54HkTt",
    "MARKETBOT_LLM_LOCAL_KEY": "test-local-Vt45GjSs",
}
OWN = {
    "openai": {"OPENAI_API_KEY"},
    "anthropic": {"ANTHROPIC_API_KEY"},
    "bedrock": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
    "local": {"MARKETBOT_LLM_LOCAL_KEY"},
}
MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "us.amazon.nova-micro-v1:0",
    "local": "smol/model",
}


def question(provider: str, url: str = "", text: str = "What now?", model: str = "", seconds: int = 5) -> LlmRequest:
    """One question; `url`: of the local server."""
    return LlmRequest(
        provider=provider,
        model=model or MODELS[provider],
        system="You rate.",
        turns=(("user", text),),
        schema=SCHEMA,
        tokens_max=50,
        address=f"{url}/v1" if provider == "local" else "",
        region="us-east-1" if provider == "bedrock" else "",
        seed=7,
        timeout_seconds=seconds,
    )


def all_keys() -> Mapping[str, str]:
    """The environment of a test's own worker, which is asked for every provider."""
    return settings.bare_environment() | KEYS
