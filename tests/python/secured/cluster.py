"""A real broker as companies run it: encrypted, with users and certificates, and rights by ACL.

It listens at three places: where the test sets it up, with SASL over TLS (a password, or SCRAM),
and with mutual TLS. The user `warehouse` has the rights that docs/stream.md says are enough.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from certificates import write_certificates
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from waypoint.services.kafka import _broker, _format, _new_id
from waypoint.services.ports import LOOPBACK, free_ports

USER, SECRET = "warehouse", "not-to-be-told"
_SECONDS = 120.0

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=SETUP://{host}:{setup},SASL://{host}:{sasl},MUTUAL://{host}:{mutual},\
CONTROLLER://{host}:{controller}
advertised.listeners=SETUP://{host}:{setup},SASL://localhost:{sasl},MUTUAL://localhost:{mutual}
listener.security.protocol.map=SETUP:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=SETUP
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker-chain.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/authority.pem
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{secret}";
listener.name.sasl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={folder}/data
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True)
class Secured:
    """The cluster, and the files of client settings by which it is reached."""

    folder: Path
    setup: int
    sasl: int
    mutual: int

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": f"{LOOPBACK}:{self.setup}", "log_level": 0})

    def settings(self, how: str, secret: str = SECRET, certificate: str = USER) -> Path:
        """A file of client settings: `PLAIN`, `SCRAM-SHA-512`, or `mutual`."""
        lines = [f"ssl.ca.location={self.folder}/authority.pem"]
        if how == "mutual":
            lines += [
                f"bootstrap.servers=localhost:{self.mutual}",
                "security.protocol=SSL",
                f"ssl.certificate.location={self.folder}/{certificate}.pem",
                f"ssl.key.location={self.folder}/{certificate}.key",
            ]
        else:
            lines += [
                f"bootstrap.servers=localhost:{self.sasl}",
                "security.protocol=SASL_SSL",
                f"sasl.mechanism={how}",
                f"sasl.username={USER}",
                f"sasl.password={secret}",
            ]
        file = self.folder / f"{how}-{certificate}-{len(secret)}.properties"
        file.write_text("\n".join(lines) + "\n")
        return file


@contextmanager
def running_secured(folder: Path) -> Iterator[Secured]:
    """The cluster for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_certificates(folder, "broker", USER, "somebody")
    chain = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "broker-chain.pem").write_text(chain)
    setup, sasl, mutual, controller = free_ports(4)
    properties = folder / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            host=LOOPBACK, setup=setup, sasl=sasl, mutual=mutual, controller=controller,
            folder=folder, user=USER, secret=SECRET,
        )
    )  # fmt: skip
    _format(folder / "data", properties, _new_id(), 1)
    process = _broker(folder, properties).start(folder / "log", ends_with_parent=True)
    try:
        cluster = Secured(folder, setup, sasl, mutual)
        deadline = time.monotonic() + _SECONDS
        while not _answers(cluster.admin):
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
        _grant(cluster.admin)
        yield cluster
    finally:
        process.kill()
        process.wait()


def _answers(admin: AdminClient) -> bool:
    try:
        return bool(admin.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _grant(admin: AdminClient) -> None:
    """What docs/stream.md says the account must be allowed to do, and no more."""
    every, group, transaction = (
        (ResourceType.TOPIC, "*", ResourcePatternType.LITERAL),
        (ResourceType.GROUP, "waypoint-", ResourcePatternType.PREFIXED),
        (ResourceType.TRANSACTIONAL_ID, "waypoint-", ResourcePatternType.PREFIXED),
    )
    rights = {
        every: (
            "CREATE",
            "ALTER",
            "ALTER_CONFIGS",
            "DESCRIBE",
            "DESCRIBE_CONFIGS",
            "WRITE",
            "READ",
        ),
        group: ("READ",),
        transaction: ("WRITE",),
        (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL): ("DESCRIBE",),
    }
    bindings = [
        AclBinding(
            *resource, f"User:{USER}", "*", getattr(AclOperation, right), AclPermissionType.ALLOW
        )
        for resource, named in rights.items()
        for right in named
    ]
    for made in admin.create_acls(bindings).values():
        made.result(30)
    upsertion = UserScramCredentialUpsertion(
        USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), SECRET.encode()
    )
    for changed in admin.alter_user_scram_credentials([upsertion]).values():
        changed.result(30)
