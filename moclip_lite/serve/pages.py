"""The page, its style and script, and a page that describes the HTTP interface; no external resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from .http.refusal import Refusal

__all__ = ["add_pages"]

_STATIC: Final = Path(__file__).parent / "static"
_SCRIPTS: Final = ("api", "app", "dom", "player", "result", "timeline", "vectors")
_TYPES: Final = {
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    **{f"{name}.js": "text/javascript" for name in _SCRIPTS},
}
_CACHE: Final = {"cache-control": "no-cache"}  # a new version is seen at once
# The browser keeps no page to go back to: its results are removed.
_PAGE: Final = {"cache-control": "no-store"}


def add_pages(app: FastAPI, token_required: bool) -> None:
    """Add /, /docs and /static/."""

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(_STATIC / "index.html", media_type="text/html", headers=_PAGE)

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return FileResponse(_STATIC / "icon.svg", media_type=_TYPES["icon.svg"], headers=_CACHE)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in _TYPES:
            raise Refusal(404, "there is no such file")
        return FileResponse(_STATIC / name, media_type=_TYPES[name], headers=_CACHE)

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        address = str(request.base_url).rstrip("/")  # its host was checked by the guard
        return HTMLResponse(render_docs(app.openapi(), address, token_required))


def render_docs(openapi: dict[str, Any], address: str, token_required: bool) -> str:
    """The description of the interface as one page without scripts."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("moclip_lite.serve", "static"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["schema_name"] = _schema_name
    schemas = openapi.get("components", {}).get("schemas", {})
    own = {name: schema for name, schema in schemas.items() if not name.startswith("HTTPValidation")}
    own.pop("ValidationError", None)
    return environment.get_template("docs.html").render(
        api=openapi,
        address=address,
        operations=_operations(openapi),
        schemas=own,
        token_required=token_required,
    )


def _operations(openapi: dict[str, Any]) -> list[dict[str, Any]]:
    """Operations in the order of the paths, each with what the page shows."""
    return [
        {**operation, "path": path, "method": method.upper()}
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]


def _schema_name(schema: dict[str, Any]) -> str:
    """A type in words: "integer", "list of Score", "Options"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_schema_name(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema_name(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_schema_name(schema['additionalProperties'])}"
    return str(schema.get("type", "any"))
