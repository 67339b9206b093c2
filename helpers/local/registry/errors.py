"""What the registry refuses, in the shape that the real server gives it."""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """A refused request: HTTP status and the message of the error body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: str) -> ApiError:
    """Return the error for a request that cannot be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def not_found(message: str) -> ApiError:
    """Return the error for an id or a search without (exactly one) result."""
    return ApiError(HTTPStatus.NOT_FOUND, f"{message}: not found")


def conflict(message: str) -> ApiError:
    """Return the error for a name or external id that is taken."""
    return ApiError(HTTPStatus.CONFLICT, f"{message}: conflict")


def too_long(column: str) -> ApiError:
    """Return the error for a text that MySQL's column does not hold; the real server calls it an internal one."""
    message = f"error saving: Error 1406 (22001): Data too long for column '{column}' at row 1"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def error_body(status: int, message: str) -> dict[str, str]:
    """Return the JSON of an error; the real server calls a 422 "Bad Request" too."""
    shown = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else HTTPStatus(status)
    return {"code": shown.phrase, "message": message}
