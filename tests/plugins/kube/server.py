"""The HTTP side: paths, accounts, verbs, and answers as the API server gives them."""

from __future__ import annotations

import json
import re
import uuid
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.plugins.kube import replies
from tests.plugins.kube.objects import Key
from tests.plugins.kube.replies import Refusal
from tests.plugins.kube.resources import BY_PATH, Resource
from tests.plugins.kube.selectors import selected

if TYPE_CHECKING:
    from tests.plugins.cluster import KubernetesApi

PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
REVIEWS = ("selfsubjectaccessreviews", "selfsubjectreviews", "localsubjectaccessreviews")
MERGE = "application/merge-patch+json"
DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
BAD_NAME = (
    'metadata.name: Invalid value: "{}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
    "characters, '-' or '.', and must start and end with an alphanumeric character"
)


class Request(NamedTuple):
    """One request that came in, in RBAC's words."""

    verb: str
    resource: str  # with the subresource, for example pods/log
    name: str
    namespace: str
    user: str
    body: dict


class HangUp(Exception):
    """The connection ends without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # an answer in one packet: headers and body apart cost 40 ms each
    api: KubernetesApi

    def log_message(self, *_) -> None:
        """Keep the tests' output clean."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.api.failures and (failure := self.api.failures.pop(0)):
            if failure < 0:
                self.close_connection = True
                return
            self._send(failure, _failure(failure))
            return
        try:
            self._send(*self._served(json.loads(body) if body else {}))
        except Refusal as refusal:
            self._send(refusal.code, refusal.body)
        except HangUp:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def _send(self, code: int, body: dict | str) -> None:
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()

    def _served(self, body: dict) -> tuple[int, dict | str]:
        user = self.api.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            raise replies.unauthorized()
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if url.path == "/version":
            return 200, {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
        if not (found := PATH.match(url.path)):
            raise replies.page_not_found()
        if found["plural"] in REVIEWS:
            return 201, self._review(found["plural"], user, unquote(found["namespace"] or ""), body)
        resource = BY_PATH.get((found["group"] or "", found["version"], found["plural"]))
        if resource is None or resource.plural in self.api.unserved:
            raise replies.page_not_found()
        part = f"/{found['part']}" if found["part"] else ""
        key = (resource, unquote(found["namespace"] or ""), unquote(found["name"] or ""))
        verb = self._verb(key, query)
        self.api.requests.append(Request(verb, resource.plural + part, key[2], key[1], user, body))
        if not self.api.rules.allow(user, verb, resource.group, resource.plural + part, key[2], key[1]):
            raise replies.forbidden(user, verb, resource, part, key[1], key[2])
        done = self._done(verb, key, part, query, body)
        if verb in self.api.unanswered:
            self.api.unanswered.remove(verb)
            raise HangUp
        return done

    def _verb(self, key: Key, query: dict[str, str]) -> str:
        verb = VERBS[self.command]
        if verb == "get" and not key[2]:
            return "watch" if query.get("watch") in ("true", "1") else "list"
        return "deletecollection" if verb == "delete" and not key[2] else verb

    def _done(self, verb: str, key: Key, part: str, query: dict[str, str], body: dict) -> tuple[int, dict | str]:
        if part == "/log":
            return 200, self.api.read_log(key, query)
        if part or verb not in ("get", "list", "create", "patch", "delete"):
            raise replies.not_allowed()
        if verb == "get":
            return 200, self.api.objects.get(key)
        if verb == "list":
            return 200, self._list(key[0], key[1], query)
        if verb == "create":
            return 201, self._create(key[0], key[1], body)
        if verb == "patch":
            return 200, self._patch(key, body)
        item = self.api.objects.delete(key, self.api.deletion_seconds.get(key[0].kind, 0))
        details = {"name": key[2], "group": key[0].group, "kind": key[0].plural, "uid": item["metadata"]["uid"]}
        gone = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return 200, item if "deletionTimestamp" in item["metadata"] else gone

    def _list(self, resource: Resource, namespace: str, query: dict[str, str]) -> dict:
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        items = [item for item in self.api.objects.list(resource, namespace) if selected(item, labels, fields)]
        start, size = int(query.get("continue") or 0), int(query.get("limit") or 0) or len(items) or 1
        more = {"continue": str(start + size)} if start + size < len(items) else {}
        metadata = {"resourceVersion": "1", **more}
        page = items[start : start + size]
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": page}

    def _create(self, resource: Resource, namespace: str, body: dict) -> dict:
        metadata = body.get("metadata") or {}
        name = metadata.get("name") or (metadata.get("generateName", "") + uuid.uuid4().hex[:5])
        if (body.get("apiVersion"), body.get("kind")) != (resource.api_version, resource.kind):
            raise replies.bad_request(
                f"the API version in the data ({body.get('apiVersion')}, Kind={body.get('kind')}) does not match the "
                f"expected API version ({resource.api_version}, Kind={resource.kind})"
            )
        if metadata.get("namespace") not in (None, namespace):
            raise replies.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if not metadata.get("name") and not metadata.get("generateName"):
            raise replies.invalid(resource, "", ["metadata.name: Required value: name or generateName is required"])
        if not DNS_NAME.match(name) or len(name) > 253:
            raise replies.invalid(resource, name, [BAD_NAME.format(name)])
        return self.api.admit((resource, namespace, name), body)

    def _patch(self, key: Key, body: dict) -> dict:
        content = self.headers.get("Content-Type", "")
        if content != MERGE and not (content == "application/strategic-merge-patch+json" and not key[0].custom):
            raise replies.unsupported_media_type(f"application/json-patch+json, {MERGE}, application/apply-patch+yaml")
        return self.api.objects.merge(key, {name: part for name, part in body.items() if name != "status"})

    def _review(self, plural: str, user: str, namespace: str, body: dict) -> dict:
        if plural == "selfsubjectreviews":
            return body | {"status": {"userInfo": {"username": user, "groups": ["system:authenticated"]}}}
        if plural == "localsubjectaccessreviews":
            group = "authorization.k8s.io"
            if not self.api.rules.allow(user, "create", group, plural, "", namespace):
                raise replies.forbidden(user, "create", Resource(group, "v1", plural, ""), "", namespace, "")
            user = body["spec"]["user"]
        asked = {"verb": "", "group": "", "resource": "", "subresource": "", "name": "", "namespace": ""}
        asked |= body["spec"]["resourceAttributes"]
        resource = asked["resource"] + (f"/{asked['subresource']}" if asked["subresource"] else "")
        allowed = self.api.rules.allow(user, asked["verb"], asked["group"], resource, asked["name"], asked["namespace"])
        return body | {"status": {"allowed": allowed}}


def _failure(code: int) -> dict:
    words = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
    return replies.status(code, words.get(code, "Unknown"), "the server is currently unable to handle the request").body
