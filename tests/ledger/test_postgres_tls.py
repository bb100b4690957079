"""Ledger and index over TLS with the server's name proven, and not without: the settings that docs/postgres.md names."""

import datetime as dt
import ipaddress
import os
import pwd
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from services import Postgres

from marketbot_resources.errors import HomeError, LedgerError
from marketbot_resources.ledger.postgres import PostgresLedger
from marketbot_resources.migrations.migrate import install
from marketbot_resources.store.index_postgres import PostgresIndex

pytestmark = [pytest.mark.postgres, pytest.mark.long]


def certificate(folder: Path, name: str) -> None:
    """name.crt and name.key, signed by itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = folder / f"{name}.key"
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(*kinds))
    secret.chmod(0o600)


def test_only_tls_and_only_the_named_server() -> None:
    """No TLS: refused by the server. Another authority: refused by us. Ours: ledger and index work."""
    with Postgres() as server:
        for name in ("server", "stranger"):
            certificate(server.folder, name)
        if os.geteuid() == 0:
            owner = pwd.getpwuid((server.folder / "data").stat().st_uid)
            os.chown(server.folder / "server.key", owner.pw_uid, owner.pw_gid)
        for setting in ("ssl_cert_file = '../server.crt'", "ssl_key_file = '../server.key'", "ssl = on"):
            server.execute(f"alter system set {setting}")
        rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (server.folder / "data" / "pg_hba.conf").write_text(rules, encoding="ascii")
        server.execute("select pg_reload_conf()")
        server.stop()
        server.start()
        database = server.database()
        ours, theirs = (
            f"?sslmode=verify-full&sslrootcert={server.folder / f'{name}.crt'}" for name in ("server", "stranger")
        )
        install(server.url("postgres", database) + ours)
        for role in ("ledger_writer", "index_writer"):
            server.login(role)
        ledger, index = server.url("ledger_writer", database), server.url("index_writer", database)
        with pytest.raises(LedgerError, match=r"no pg_hba.conf entry for host .*no encryption"):
            PostgresLedger(ledger + "?sslmode=disable").size()
        with pytest.raises(HomeError, match="certificate verify failed"):
            PostgresIndex(index + theirs).size()
        assert PostgresLedger(ledger + ours).append("k", "a", {}).seq == 0
        assert PostgresIndex(index + ours).size() == 0
