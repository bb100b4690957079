"""The mandate file as text, and the places it names for signed heads, without loading Dagster or judging the rest.

Not here: the mandate's meaning and validation (`mandate`).
"""

from marketbot_resources import settings
from marketbot_resources.errors import MandateError


def read_mandate_text() -> str:
    """The mandate file's text. Raises MandateError when it cannot be read."""
    path = settings.mandate_path()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MandateError(f"mandate: expected a readable file at {path}, found: {error}") from error


def anchor_specs() -> list[str]:
    """The anchors that the mandate names. Raises MandateError when it cannot be read or they are no list of texts."""
    import yaml

    try:
        found = yaml.load(read_mandate_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        specs = found.get("anchors") or []
    except (yaml.YAMLError, AttributeError) as error:
        raise MandateError(f"mandate: expected a mapping in YAML, found: {type(error).__name__}") from error
    if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
        raise MandateError(f"mandate: expected a list of anchors, found {str(specs)[:80]!r}")
    return specs
