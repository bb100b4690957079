"""The CloudFormation template as plain values: its functions are resolved for given parameters, without AWS and without moto.

Ref and GetAtt of a resource become texts that name it (`arn:of:Store`, `Store`), roles the ARN that their name gives.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "deploy" / "aws" / "template.yaml"
ACCOUNT, REGION = "123456789012", "us-east-1"
GIVEN = {
    "Email": "ops@example.org",
    "ArtefactBucket": "artefacts-example",
    "ReleaseKey": "marketbot-1.tar.gz",
    "ReleaseSha256": "0" * 64,
    "FunctionsKey": "functions-1.zip",
}
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "marketbot",
}
NOTHING = object()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, as the long ones."""


def _short(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short)


@lru_cache
def template() -> dict[str, Any]:
    """The template as it stands."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)
    return loaded


class Stack:
    """The resources of the template for some parameters; those whose condition does not hold are not there."""

    def __init__(self, **parameters: str) -> None:
        known = {name: str(one.get("Default", "")) for name, one in template()["Parameters"].items()}
        assert set(parameters) <= set(known)
        self._values = known | GIVEN | parameters | PSEUDO
        found = {name: one for name, one in template()["Resources"].items() if self._holds(one)}
        self._types = {name: one["Type"] for name, one in found.items()}
        self._names = {
            name: self.value(one["Properties"]["RoleName"])
            for name, one in found.items()
            if one["Type"] == "AWS::IAM::Role" and "RoleName" in one["Properties"]
        }
        self.resources = {name: self.value(one) for name, one in found.items()}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id -> properties of all resources of a type."""
        return {name: one.get("Properties", {}) for name, one in self.resources.items() if one["Type"] == kind}

    def arn(self, name: str) -> str:
        """How an ARN of a resource reads here; a named role's is what AWS will make of it."""
        if self._types.get(name) == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{self._names.get(name, name)}"
        return f"arn:of:{name}"

    def statements(self, role: str) -> list[dict[str, Any]]:
        """Everything that a role's own policies and those attached to it say."""
        documents = [one["PolicyDocument"] for one in self.of_type("AWS::IAM::Role")[role].get("Policies", [])]
        for one in self.of_type("AWS::IAM::Policy").values():
            documents += [one["PolicyDocument"]] if role in one["Roles"] else []
        return [statement for document in documents for statement in document["Statement"]]

    def value(self, node: Any) -> Any:
        """A value with every function resolved."""
        if isinstance(node, list):
            return [made for one in node if (made := self.value(one)) is not NOTHING]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            (name, given), *_ = node.items()
            if name == "Ref":
                return self._ref(given)
            if str(name).startswith("Fn::"):
                return self._function(name, given)
        return {key: made for key, one in node.items() if (made := self.value(one)) is not NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        if name in self._values:
            return self._values[name]
        assert name in template()["Resources"], name
        return self.arn(name) if self._types.get(name) == "AWS::SNS::Topic" else name

    def _function(self, name: str, given: Any) -> Any:
        if name == "Fn::GetAtt":
            resource, attribute = given
            return self.arn(resource) if attribute == "Arn" else f"{resource}.{attribute}"
        if name == "Fn::Sub":
            text, own = given if isinstance(given, list) else (given, {})
            told = {key: str(self.value(value)) for key, value in own.items()}
            return re.sub(r"\$\{([\w:.]+)\}", lambda m: told[m[1]] if m[1] in told else self._inside(m), text)
        if name == "Fn::If":
            return self.value(given[1] if self._condition(given[0]) else given[2])
        if name in ("Fn::Base64", "Fn::GetAZs", "Fn::Select"):
            return self.value(given)
        raise AssertionError(f"unknown function {name}")

    def _inside(self, match: re.Match[str]) -> str:
        name, _, attribute = match[1].partition(".") if "::" not in match[1] else (match[1], "", "")
        return self._function("Fn::GetAtt", [name, attribute]) if attribute else str(self._ref(name))

    def _holds(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self._condition(resource["Condition"])

    def _condition(self, given: Any) -> bool:
        if isinstance(given, str):
            return self._condition(template()["Conditions"][given])
        (name, inner), *_ = given.items()
        if name == "Condition":
            return self._condition(inner)
        if name == "Fn::Not":
            return not self._condition(inner[0])
        assert name == "Fn::Equals", name
        return bool(self.value(inner[0]) == self.value(inner[1]))
