"""The header fields of an answer: its ids, and what an error adds."""

import math
import time
from collections.abc import Sequence

from lakehouse.core.context import CallContext, call_context
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.transport.error_shape import FailedCall
from lakehouse.transport.head import Fields, encode_head
from lakehouse.transport.problem import problem_response
from lakehouse.transport.request_body import Stalled
from lakehouse.transport.response import Response


def answer_fields(response: Response, context: CallContext, more: Fields = ()) -> Fields:
    """Return the header fields of an answer to this call, with its body's length if it is whole."""
    fields = (*id_fields(response.context or context), *response.headers, *more)
    if response.status == 204:
        return fields
    kind = (b"content-type", response.content_type.encode())
    if not isinstance(response.body, bytes):
        return (kind, *fields)
    return (kind, (b"content-length", b"%d" % len(response.body)), *fields)


def id_fields(context: CallContext) -> Fields:
    """Return the fields that every answer has."""
    return (
        (b"x-lakehouse-trace-id", context.session_id.encode()),
        (b"traceparent", context.traceparent().encode()),
    )


def with_error_fields(
    response: Response, error: Refusal | InfraError, allow: Sequence[str]
) -> Response:
    """Add the header fields that an error needs, whatever its body's shape."""
    headers = [*response.headers]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after_s)))
    if error.status == 413 or isinstance(error, Stalled):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    if allow:  # RFC 9110 requires the list of allowed methods
        headers.append((b"allow", ", ".join(allow).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(response.status, response.body, response.content_type, tuple(headers))


def refusal_message(refusal: Refusal) -> bytes:
    """Encode the whole answer to an invalid request, after which the connection closes.

    It has new ids: if the head cannot be parsed, the caller's ids cannot be read either.
    """
    context = call_context((), ())
    call = FailedCall(context.session_id, inner=False, started_s=time.perf_counter())
    response = with_error_fields(problem_response(refusal, call), refusal, ())
    assert isinstance(response.body, bytes)
    fields = dict(answer_fields(response, context, ((b"connection", b"close"),)))
    return encode_head(response.status, fields.items()) + response.body
