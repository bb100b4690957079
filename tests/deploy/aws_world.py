"""An AWS account on this machine: moto's server on 127.0.0.1, with the keys and addresses by which boto3 finds it."""

import importlib.util
import logging
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

AWS = Path(__file__).parents[2] / "deploy" / "aws"
REGION = "us-east-1"


def program(relative: str) -> ModuleType:
    """A program of deploy/aws as a module; nothing there is a package."""
    path = AWS / relative
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def account() -> Iterator[str]:
    """A fresh account; its address. boto3 in this process asks it for everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in environment.items():
        patch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        patch.delenv(name, raising=False)
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=60).close()  # all servers of one process share what they hold
    try:
        yield f"http://{host}:{port}"
    finally:
        patch.undo()
        server.stop()


def client(service: str) -> Any:
    """A client of that account."""
    import boto3

    return boto3.session.Session().client(service)
