"""
The documentation that the service serves itself: nothing in it is loaded from anywhere else.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from telemetry.service.answers import Answer
from telemetry.service.openapi import document, text
from telemetry.service.operations import Operation

if TYPE_CHECKING:
    from starlette.requests import Request

    from telemetry.service.state import Service

HTML = "text/html; charset=utf-8"


async def openapi(service: Service, request: Request) -> Answer:
    """
    Return the OpenAPI document.
    """
    return Answer(text().encode())


async def docs(service: Service, request: Request) -> Answer:
    """
    Return the operations as a plain page.
    """
    return Answer(_page().encode(), media_type=HTML)


def _page() -> str:
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation['summary'])}</td></tr>"
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Telemetry API</title>'
        "</head><body><h1>Telemetry API</h1>"
        '<p>All of it, for machines: <a href="/openapi.json">/openapi.json</a></p>'
        f"<table>{''.join(rows)}</table></body></html>"
    )


OPERATIONS = (
    Operation(
        method="GET", path="/openapi.json", handler=openapi, tag="docs", summary="Describe the API"
    ),
    Operation(method="GET", path="/docs", handler=docs, tag="docs", summary="List the operations"),
    Operation(method="GET", path="/redoc", handler=docs, tag="docs", summary="List the operations"),
)
