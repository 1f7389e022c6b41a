"""Answers as bytes: JSON, or XML where the caller asks for no format."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

from aiohttp import web

from mockcloud.errors import ApiError

JSON_TYPE: Final = "application/json;charset=utf-8"
XML_TYPE: Final = "text/xml;charset=utf-8"
"""Exactly so: an SDK compares the text."""


def request_id() -> str:
    """A new id of a call: a UUID in upper case."""
    return str(uuid.uuid4()).upper()


def success(action: str, answer: Mapping[str, object], call_id: str, *, xml: bool) -> web.Response:
    """An answer that is no error; it never has a member `Code`, which SDKs take for one."""
    body = {"RequestId": call_id, **answer}
    return _response(200, f"{action}Response", body, call_id, xml=xml)


def failure(error: ApiError, host: str, call_id: str, *, xml: bool) -> web.Response:
    """An answer that is an error."""
    body = {
        "RequestId": call_id,
        "HostId": host,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}&product=Ecs",
        **error.extra,
    }
    return _response(error.status, "Error", body, call_id, xml=xml)


def _response(
    status: int, root: str, body: Mapping[str, object], call_id: str, *, xml: bool
) -> web.Response:
    if xml:
        text = f'<?xml version="1.0" encoding="UTF-8"?>{_element(root, body)}'
    else:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        body=text.encode(),
        status=status,
        headers={"Content-Type": XML_TYPE if xml else JSON_TYPE, "x-acs-request-id": call_id},
    )


def _element(name: str, value: object) -> str:
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, Mapping):
        inside = "".join(_element(key, item) for key, item in value.items())
    elif isinstance(value, bool):
        inside = "true" if value else "false"
    else:
        inside = escape(str(value))
    return f"<{name}>{inside}</{name}>"
