"""The local stack against the real broker and registry."""

from __future__ import annotations

import urllib.request

from confluent_kafka.admin import AdminClient

from xiezhi.local.stack import LocalStack


def test_broker_and_registry_answer(stack: LocalStack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    cluster = admin.describe_cluster().result(10)
    assert [node.port for node in cluster.nodes] == [int(stack.bootstrap_servers.rpartition(":")[2])]
    with urllib.request.urlopen(f"{stack.registry_url}/subjects", timeout=10) as response:  # noqa: S310 - loopback
        assert response.status == 200
