"""
Who may do what: tokens in the Authorization header, scopes of routes, when a token is asked for.
"""

from __future__ import annotations

import ast
import asyncio
import itertools
import random
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from asgi_client import ask, ask_async, echo

from telemetry.config import TelemetryConfig
from telemetry.model.errors import SettingsError
from telemetry.service.app import OPERATIONS, create_app
from telemetry.service.auth import ROUTES, access_of, check_start
from telemetry.service.middleware import Guard
from telemetry.service.tokenfile import LastUsed, TokenFile
from telemetry.service.tokens import Scope, mint

ENVIRONMENT_TOKEN = "a-long-word-from-the-environment"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
SERVICE = Path(__file__).parents[2] / "telemetry" / "service"
OPEN = {("GET", "/health"), ("GET", "/healthz"), ("GET", "/readyz")}
ALL_ROUTES = sorted(ROUTES)


def make_config(tmp_path, **settings):
    return TelemetryConfig.from_env({}, base_dir=tmp_path, **settings)


def make_guard(tmp_path, **settings):
    return Guard(echo, make_config(tmp_path, **settings), record=lambda _: None)


def make_token(tmp_path, *scopes, **options):
    token, shown = mint("t", scopes, created=NOW, **{"expires": None, **options})
    TokenFile(tmp_path / "state").add(token)
    return token, f"Bearer {shown.reveal()}"


def revoke(tmp_path, token):
    TokenFile(tmp_path / "state").change(
        token.id, lambda found: msgspec.structs.replace(found, revoked=NOW)
    )


def path_of(template):
    return template.replace("{event_id}", "0192-ab").replace("{name}", "timeline")


def test_each_operation_says_what_it_needs(tmp_path):
    """
    Every route of the application stands in the table, and the table has no other.
    """
    app = create_app(make_config(tmp_path))
    app.state.service.close(0)

    assert {(each.method, each.path) for each in OPERATIONS} == ROUTES.keys()
    assert {route.path for route in app.routes} == {path for _, path in ROUTES}


def test_only_health_is_open():
    """
    Health checks need no token, everything else does.
    """
    assert {route for route, access in ROUTES.items() if access.scope is None} == OPEN


def test_each_route_takes_its_scope_and_no_other(tmp_path):
    """
    Of all routes and scopes, exactly the route's own scope and `admin` are let through.
    """
    guard = make_guard(tmp_path)
    headers = {scope.value: make_token(tmp_path, scope)[1] for scope in Scope}
    wrong = []
    for (method, path), scope in itertools.product(ALL_ROUTES, headers):
        needed = ROUTES[method, path].scope
        expected = 200 if needed in {None, scope} or scope == "admin" else 403
        answer = ask(guard, method, path_of(path), authorization=headers[scope])
        if answer.status != expected:
            wrong.append((method, path, scope, answer.status))

    assert wrong == []


def test_each_route_refuses_a_stranger(tmp_path):
    """
    Without a token every route but health is 401, whatever else is wrong with the request.
    """
    guard = make_guard(tmp_path, api_auth_token=ENVIRONMENT_TOKEN)
    got = {
        (method, path): ask(guard, method, path_of(path), content_type="text/plain").status
        for method, path in ALL_ROUTES
    }

    assert {route for route, status in got.items() if status != 401} == OPEN


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/", "read"),
        ("GET", "/health/", "read"),
        ("GET", "/health\n", "read"),
        ("GET", "//health", "read"),
        ("HEAD", "/health", None),
        ("HEAD", "/metrics", "read"),
        ("POST", "/health", "admin"),
        ("PUT", "/api/v1/runs", "admin"),
        ("POST", "/api/v1/runs/", "admin"),
        ("PATCH", "/api/v1/runs/", "admin"),
        ("PATCH", "/api/v1/runs/a/b", "admin"),
        ("PATCH", "/api/v1/runs/a\n", "edit"),
        ("DELETE", "/api/v1/runs/batch", "edit"),
        ("POST", "/api/v1/runs/a/b/associate-commit", "admin"),
        ("POST", "/api/v1/runs//associate-commit", "admin"),
        ("TRACE", "/api/v1/runs", "admin"),
        ("get", "/health", "admin"),
    ],
)
def test_what_is_no_route_is_closed(method, path, scope):
    """
    A path that only looks like a route's needs the highest scope to change anything.
    """
    assert access_of(method, path).scope == scope


@pytest.mark.parametrize(
    ("header", "rule"),
    [("", "must be sent"), ("Basic YQ==", "must be `Bearer`"), ("Bearer a", "must be one that")],
)
def test_an_unauthorized_answer_says_why_and_repeats_nothing(tmp_path, header, rule):
    """
    401 tells a missing token from one that is not taken; what was sent is not in it.
    """
    make_token(tmp_path, Scope.READ)
    answer = ask(make_guard(tmp_path), "GET", "/api/v1/runs", authorization=header)

    (error,) = answer.json()["errors"]
    assert (answer.status, error["field"], error["value"]) == (401, "Authorization", "'…'")
    assert error["rule"].startswith(rule)


def test_a_forbidden_answer_names_the_scope(tmp_path):
    """
    403 says which scope is missing, in words and as RFC 6750 has it.
    """
    _, header = make_token(tmp_path, Scope.READ)
    answer = ask(make_guard(tmp_path), "DELETE", "/api/v1/runs/a", authorization=header)

    assert answer.json()["detail"] == (
        "the token needs the scope edit (it has read); use another token"
    )
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="edit"'
    assert answer.json()["type"] == "urn:telemetry:problem:missing-scope"


def torture():
    draw = random.Random(20261122)
    yield from (
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"bearer\t",
        b"Basic eDp5",
        b"Bearer \xff\xfe",
        b"B",
    )
    yield from ("Bearer pässwörd".encode(), "Bearer 令牌".encode(), b"Bearer " + b"\x00" * 9)
    yield b"Bearer " + b"x" * 100_000
    yield b"x" * 100_000
    yield from (b"Bearer tlm_", b"Bearer tlm__", b"Bearer tlm_a_b", b"Bearer tlm_\xff_\xff")
    yield b"Bearer " + ENVIRONMENT_TOKEN.encode() * 2
    yield b"Bearer " + ENVIRONMENT_TOKEN.encode()[:-1]
    yield b"Bearer " + ENVIRONMENT_TOKEN.upper().encode()
    yield ENVIRONMENT_TOKEN.encode()
    yield from (b"Bearer " + draw.randbytes(n) for n in range(1, 200, 7))


def test_no_header_gets_in_and_none_breaks_anything(tmp_path):
    """
    Missing, malformed, wrong, non-ASCII and huge headers are 401 with a challenge, never 500.
    """
    guard = make_guard(tmp_path, api_auth_token=ENVIRONMENT_TOKEN)
    token, _ = make_token(tmp_path, Scope.READ)
    headers = [*torture(), f"Bearer tlm_{token.id}_".encode(), f"Bearer tlm_{token.id}_x".encode()]
    answers = [ask(guard, "GET", "/api/v1/runs", authorization=header) for header in headers]
    answers.append(ask(guard, "GET", "/api/v1/runs"))

    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


def test_two_headers_are_none(tmp_path):
    """
    A request with two Authorization headers is refused, even if both are good.
    """
    guard = make_guard(tmp_path, api_auth_token=ENVIRONMENT_TOKEN)
    header = (b"authorization", f"Bearer {ENVIRONMENT_TOKEN}".encode())

    assert ask(guard, "GET", "/api/v1/runs", [header]).status == 200
    assert ask(guard, "GET", "/api/v1/runs", [header, header]).status == 401


def test_a_wrong_token_is_not_repeated(tmp_path):
    """
    What was shown stands in no answer.
    """
    answer = ask(
        make_guard(tmp_path, api_auth_token=ENVIRONMENT_TOKEN),
        "GET",
        "/api/v1/runs",
        authorization="Bearer hunter2-hunter2",
    )

    assert b"hunter2" not in answer.body


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_in_any_case(tmp_path, scheme):
    """
    The token of the environment has every scope; the scheme's case does not matter.
    """
    guard = make_guard(tmp_path, api_auth_token=ENVIRONMENT_TOKEN)
    answer = ask(guard, "GET", "/metrics", authorization=f"{scheme} {ENVIRONMENT_TOKEN}")

    assert answer.json()["token_id"] == "environment"
    assert answer.json()["scopes"] == ["admin", "edit", "ingest", "read"]


def test_the_route_is_told_who_asks(tmp_path):
    """
    The application finds the token's id and scopes; without auth everybody is anonymous and may all.
    """
    anonymous = ask(make_guard(tmp_path), "GET", "/api/v1/runs").json()
    token, header = make_token(tmp_path, Scope.READ, Scope.INGEST)
    known = ask(make_guard(tmp_path), "GET", "/api/v1/runs", authorization=header).json()

    assert (anonymous["token_id"], len(anonymous["scopes"])) == ("anonymous", 4)
    assert (known["token_id"], known["scopes"]) == (token.id, ["ingest", "read"])


def test_tokens_count_from_the_next_request_on(tmp_path):
    """
    The first token closes an open service at once, and a revoked one is refused at once.

    Revoking the last one, removing the file or damaging it does not open the service again.
    """
    guard = make_guard(tmp_path)

    def status(header=""):
        return ask(guard, "GET", "/api/v1/runs", authorization=header).status

    opened = status()
    first, first_header = make_token(tmp_path, Scope.READ)
    closed, taken = status(), status(first_header)
    _, second_header = make_token(tmp_path, Scope.READ)
    second = status(second_header)
    revoke(tmp_path, first)
    revoked, still = status(first_header), status(second_header)
    file = tmp_path / "state" / "tokens.json"
    content = file.read_bytes()
    file.write_bytes(content[:-10])
    damaged = status(), status(second_header)
    file.write_bytes(content)
    restored = status(second_header)
    file.unlink()
    removed = status(), status(second_header)

    assert (opened, closed, taken, second, revoked, still) == (200, 401, 200, 200, 401, 200)
    assert (damaged, restored, removed) == ((401, 401), 200, (401, 401))


@contextmanager
def no_more_files():
    """
    Let this process open no file for a while.
    """
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("has_tokens", [False, True])
def test_tokens_that_cannot_be_read_now_are_read_later(tmp_path, has_tokens):
    """
    While files run short nobody is let in, and told to come again; then all is as it was.
    """
    header = make_token(tmp_path, Scope.READ)[1] if has_tokens else ""
    guard = make_guard(tmp_path)

    async def ask_without_files():
        with no_more_files():
            return await ask_async(guard, "GET", "/api/v1/runs", authorization=header)

    meanwhile = asyncio.run(ask_without_files())
    answers = [ask(guard, "GET", "/api/v1/runs", authorization=one) for one in (header, "")]

    assert (meanwhile.status, meanwhile.json()["type"]) == (
        503,
        "urn:telemetry:problem:tokens-unreadable",
    )
    assert [answer.status for answer in answers] == [200, 401 if has_tokens else 200]


def test_an_expired_token_is_refused(tmp_path):
    """
    A token is refused from the moment at which it ends.
    """
    guard = make_guard(tmp_path)
    _, past = make_token(tmp_path, Scope.READ, expires=NOW - timedelta(seconds=1))
    _, ahead = make_token(tmp_path, Scope.READ, expires=NOW + timedelta(days=1))

    assert ask(guard, "GET", "/api/v1/runs", authorization=past).status == 401
    assert ask(guard, "GET", "/api/v1/runs", authorization=ahead).status == 200


def test_use_is_noted(tmp_path):
    """
    When a token was last used can be read; a refused one is not used.
    """
    guard = make_guard(tmp_path)
    token, header = make_token(tmp_path, Scope.READ)
    ask(guard, "GET", "/api/v1/runs", authorization=f"Bearer tlm_{token.id}_wrong")
    before = LastUsed(tmp_path / "state").load()
    ask(guard, "GET", "/api/v1/runs", authorization=header)

    assert (dict(before), [*LastUsed(tmp_path / "state").load()]) == ({}, [token.id])


@pytest.mark.parametrize("is_loopback", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("has", ["none", "environment", "file"])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_service_that_is_open_to_others_does_not_start(
    tmp_path, is_loopback, enabled, has, allowed
):
    """
    Auth without a token is refused, and an address of others without a token too, unless allowed.
    """
    if has == "file":
        make_token(tmp_path, Scope.READ)
    config = make_config(
        tmp_path,
        api_auth_enabled=enabled,
        api_allow_unauthenticated=allowed,
        api_auth_token=ENVIRONMENT_TOKEN if has == "environment" else "",
    )
    refused = has == "none" and (enabled or not (is_loopback or allowed))

    if refused:
        with pytest.raises(SettingsError, match="telemetry token create"):
            check_start(config, is_loopback=is_loopback)
    else:
        check_start(config, is_loopback=is_loopback)


def test_a_damaged_file_does_not_start(tmp_path):
    """
    A service whose token file is damaged says so and does not start.
    """
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "tokens.json").write_text("{")

    with pytest.raises(SettingsError, match="damaged"):
        check_start(make_config(tmp_path), is_loopback=True)


def test_secrets_are_compared_in_constant_time():
    """
    No module about tokens compares texts or digests by `==` or `!=`, nor looks a secret up.
    """
    allowed = {"len(parts)", "mark", "len(header)", "scheme.lower()", "method", "parts[0]"}
    found = set()
    for name in ("auth", "tokens", "tokenfile"):
        for node in ast.walk(ast.parse((SERVICE / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
                found.add(ast.unparse(node.left))

    assert found <= allowed
