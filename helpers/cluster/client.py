"""The few verbs that the stages need, on plain dicts."""

from __future__ import annotations

from typing import Any

from helpers.cluster.kinds import KINDS, Kind
from helpers.cluster.refusals import explain
from helpers.cluster.transport import Reply, Transport

Object = dict[str, Any]  # an object of the API as JSON
PAGE = 500
DONE = (200, 201, 202)
MERGE = "application/merge-patch+json"


class Cluster:
    """A cluster as one account sees it, in one namespace.

    Every call raises ClusterUnreachable where nothing answers, Forbidden where the account may not do it, NotFound
    where the namespace or the kind does not exist, and ClusterRefused where an object is not accepted.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport, self.namespace = transport, namespace

    @property
    def address(self) -> str:
        """Where the API is."""
        return self._transport.address

    def get(self, kind: str, name: str, *, namespace: str = "") -> Object | None:
        """Return an object, or None where there is none of that name."""
        place, where = KINDS[kind], namespace or self.namespace
        reply = self._transport.send("GET", place.path(where, name))
        if reply.status == 404 and _is_about(reply, name):
            return None
        return self._body(reply, "get", place, where, name)

    def list(self, kind: str, selector: str = "", *, namespace: str = "") -> list[Object]:
        """Return the objects with those labels (`key=value,…`), all without a selector."""
        place, where = KINDS[kind], namespace or self.namespace
        found: list[Object] = []
        query: dict[str, Any] = {"limit": PAGE} | ({"labelSelector": selector} if selector else {})
        while True:
            reply = self._transport.send("GET", place.path(where), query)
            page = self._body(reply, "list", place, where, "")
            found += page.get("items") or []
            if not (more := (page.get("metadata") or {}).get("continue")):
                return found
            query["continue"] = more

    def create(self, manifest: Object, *, namespace: str = "") -> Object:
        """Create an object and return it as the cluster has it."""
        place, where = KINDS[manifest["kind"]], namespace or self.namespace
        name = manifest["metadata"].get("name", "")
        reply = self._transport.send("POST", place.path(where), body={"apiVersion": place.api_version} | manifest)
        if reply.status == 409 and reply.attempts > 1 and (made := self.get(manifest["kind"], name, namespace=where)):
            return made  # by the attempt whose answer was lost
        return self._body(reply, "create", place, where, name)

    def patch(self, kind: str, name: str, body: Object, *, namespace: str = "") -> Object:
        """Merge `body` into an object (RFC 7386: null removes) and return it."""
        place, where = KINDS[kind], namespace or self.namespace
        reply = self._transport.send("PATCH", place.path(where, name), body=body, content=MERGE)
        return self._body(reply, "patch", place, where, name)

    def delete(self, kind: str, name: str, *, namespace: str = "") -> bool:
        """Ask for an object's removal and return at once; False where it was gone already."""
        place, where = KINDS[kind], namespace or self.namespace
        reply = self._transport.send("DELETE", place.path(where, name), body={"propagationPolicy": "Background"})
        if reply.status == 404 and _is_about(reply, name):
            return reply.attempts > 1  # gone by the attempt whose answer was lost
        self._body(reply, "delete", place, where, name)
        return True

    def logs(self, pod: str, *, container: str = "", lines: int = 50, previous: bool = False) -> str:
        """Return the last lines that a pod's container wrote, or wrote before it was started again; "" without any."""
        query = {"tailLines": lines} | ({"container": container} if container else {})
        reply = self._transport.send(
            "GET", KINDS["Pod"].path(self.namespace, pod, "log"), query | ({"previous": "true"} if previous else {})
        )
        if reply.status in DONE:
            return reply.text
        if reply.status in (400, 404):  # the container has not started, or never ran before
            return ""
        raise explain(reply, "get", KINDS["Pod"]._replace(plural="pods/log"), self.namespace, pod, self.address)

    def allowed(self, verb: str, kind: str, *, name: str = "", namespace: str = "", account: str = "") -> bool:
        """Return whether this account may do that, as the cluster itself says; `kind` may be `Pod/log`.

        `account` asks for another service account of the namespace, which an administrator of the project may.
        """
        place, _, part = kind.partition("/")
        asked, where = KINDS[place], namespace or self.namespace
        attributes = {"verb": verb, "group": asked.group, "version": asked.version, "resource": asked.plural}
        more = {"namespace": where if asked.namespaced else "", "name": name, "subresource": part}
        spec: Object = {"resourceAttributes": attributes | {key: value for key, value in more.items() if value}}
        review = {"kind": "SelfSubjectAccessReview", "metadata": {}, "spec": spec}
        if account:
            groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{where}"]
            spec |= {"user": f"system:serviceaccount:{where}:{account}", "groups": groups}
            review |= {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": where}}
        return bool(self.create(review, namespace=where)["status"]["allowed"])

    def account(self) -> str:
        """Return who the cluster takes this account for, for example `system:serviceaccount:PROJECT:NAME`."""
        review = self.create({"kind": "SelfSubjectReview", "metadata": {}})
        return str(review["status"]["userInfo"]["username"])

    def _body(self, reply: Reply, verb: str, kind: Kind, namespace: str, name: str) -> Object:
        if reply.status in DONE:
            return reply.body
        raise explain(reply, verb, kind, namespace, name, self.address)


def _is_about(reply: Reply, name: str) -> bool:
    """Return whether a 404 speaks of this very object, not of its namespace or its kind."""
    return (reply.body.get("details") or {}).get("name") == name
