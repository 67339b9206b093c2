"""Refusals in the API server's own words."""

from __future__ import annotations

from tests.plugins.kube.resources import Resource


class Refusal(Exception):
    """An answer that is no success: its code and its body, a Status object or plain text."""

    def __init__(self, code: int, body: dict | str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code, body)
        self.code, self.body, self.headers = code, body, headers or {}


def status(code: int, reason: str, message: str, **details) -> Refusal:
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    }  # fmt: skip
    return Refusal(code, body)


def unauthorized() -> Refusal:
    return status(401, "Unauthorized", "Unauthorized")


def page_not_found() -> Refusal:
    return Refusal(404, "404 page not found\n")


def not_found(resource: Resource, name: str) -> Refusal:
    return status(
        404, "NotFound", f'{resource.full} "{name}" not found', name=name, group=resource.group, kind=resource.plural
    )


def already_exists(resource: Resource, name: str) -> Refusal:
    message = f'{resource.full} "{name}" already exists'
    return status(409, "AlreadyExists", message, name=name, group=resource.group, kind=resource.plural)


def conflict(resource: Resource, name: str) -> Refusal:
    message = (
        f'Operation cannot be fulfilled on {resource.full} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return status(409, "Conflict", message, name=name, group=resource.group, kind=resource.plural)


def forbidden(user: str, verb: str, resource: Resource, part: str, namespace: str, name: str) -> Refusal:
    place = f'in the namespace "{namespace}"' if resource.namespaced and namespace else "at the cluster scope"
    subject = f'{resource.full} "{name}"' if name else resource.full
    message = (
        f'{subject} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}{part}" '
        f'in API group "{resource.group}" {place}'
    )
    return status(403, "Forbidden", message, name=name, group=resource.group, kind=resource.plural)


def over_quota(resource: Resource, name: str, text: str) -> Refusal:
    """`text` is what follows "exceeded quota: "."""
    message = f'{resource.full} "{name}" is forbidden: exceeded quota: {text}'
    return status(403, "Forbidden", message, name=name, group=resource.group, kind=resource.plural)


def invalid(resource: Resource, name: str, causes: list[str]) -> Refusal:
    """Each cause is worded as `field: what is wrong`."""
    text = causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"
    listed = [{"reason": "FieldValueInvalid", "field": cause.partition(": ")[0], "message": cause} for cause in causes]
    return status(
        422, "Invalid", f'{resource.full_kind} "{name}" is invalid: {text}',
        name=name, group=resource.group, kind=resource.kind, causes=listed,
    )  # fmt: skip


def denied_by_webhook(webhook: str, text: str) -> Refusal:
    return status(403, "Forbidden", f'admission webhook "{webhook}" denied the request: {text}')


def not_allowed() -> Refusal:
    return status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def bad_request(message: str) -> Refusal:
    return status(400, "BadRequest", message)


def unsupported_media_type(accepted: str) -> Refusal:
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return status(415, "UnsupportedMediaType", message)
