"""
What belongs to a run, and what can be said of all of them.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from telemetry.api import NotFoundError, TelemetryAPI
from telemetry.service.links import commit_url, repo_url

RUNS = "/api/v1/runs"
HASH = "0123456789abcdef"


def test_a_run_leads_to_the_runs_nested_in_it(api, new):
    """
    Children are those that name its run_id as their parent.
    """
    parent = new()
    child = new(parent_run_id=parent["run_id"])
    for run in (parent, child):
        api.post(RUNS, json=run)

    found = api.get(f"{RUNS}/{parent['event_id']}/children").json()

    assert [run["event_id"] for run in found] == [child["event_id"]]
    assert api.get(f"{RUNS}/{child['event_id']}/children").json() == []


@pytest.mark.parametrize("name", ["a b", "a?b#c", "é€", "<a>", 'a"b', "a%2Fb", "a+b&c;d"])
def test_links_lead_on_whatever_a_run_is_called(api, new, name):
    """
    The address of the next page is one that can be asked as it stands.
    """
    parent = new(event_id=name, run_id=f"{name} of {new()['run_id']}")
    api.post(RUNS, json=parent)
    for _ in range(2):
        api.post(RUNS, json=new(parent_run_id=parent["run_id"]))

    first = api.get(f"{RUNS}/{quote(name, safe='')}/history", params={"limit": 1})
    children = api.get(f"{RUNS}/{quote(name, safe='')}/children", params={"limit": 1})
    second = api.get(children.links["next"]["url"])

    assert (first.status_code, first.links) == (200, {})
    assert (second.status_code, len(second.json())) == (200, 1)
    assert second.json() != children.json()


@pytest.mark.parametrize("what", ["events", "history", "children", "commit-url", "repo-url"])
def test_nothing_belongs_to_a_run_that_is_not_there(api, what):
    """
    404, as for the run itself.
    """
    assert api.get(f"{RUNS}/nobody/{what}").status_code == 404


def test_a_history_comes_in_pages(api, new):
    """
    Link leads on, until all of it was seen.
    """
    run = new()
    api.post(RUNS, json={**run, "status": "success"})
    for count in range(3):
        api.patch(f"{RUNS}/{run['event_id']}", json={"items_failed": count})

    page = api.get(f"{RUNS}/{run['event_id']}/history", params={"limit": 3})
    rest = api.get(page.links["next"]["url"])

    assert [record["change"] for record in page.json() + rest.json()] == ["recorded"] + [
        "edited"
    ] * 3
    assert "next" not in rest.links


def test_a_run_says_where_its_commit_is(api, new):
    """
    Both addresses stand in the run, and each has a route of its own.
    """
    run = new(git_repo="git@github.com:org/repo.git", git_commit_hash=HASH)
    api.post(RUNS, json=run)
    path = f"{RUNS}/{run['event_id']}"

    urls = {**api.get(f"{path}/commit-url").json(), **api.get(f"{path}/repo-url").json()}

    assert urls == {
        "commit_url": f"https://github.com/org/repo/commit/{HASH}",
        "repo_url": "https://github.com/org/repo",
    }
    assert urls.items() <= api.get(path).json().items()


@pytest.mark.parametrize(
    ("repo", "url"),
    [
        ("https://github.com/org/repo", f"https://github.com/org/repo/commit/{HASH}"),
        ("https://user:pw@github.com/org/repo.git", f"https://github.com/org/repo/commit/{HASH}"),
        ("git@gitlab.com:a/b/c.git", f"https://gitlab.com/a/b/c/-/commit/{HASH}"),
        (
            "ssh://git@gitlab.firm.example:2222/a/b",
            f"https://gitlab.firm.example/a/b/-/commit/{HASH}",
        ),
        ("https://bitbucket.org/a/b/", f"https://bitbucket.org/a/b/commits/{HASH}"),
        (
            "http://git.gitlab.local:8080/a/b",
            f"http://git.gitlab.local:8080/a/b/-/commit/{HASH}",
        ),
        ("https://evil.example/github.com/x", None),
        (
            "https://github.com.evil.example/a/b",
            f"https://github.com.evil.example/a/b/commit/{HASH}",
        ),
        ("javascript://github.com/%0aalert(1)", None),
        ("https://github.com/a/../b", None),
        ('https://github.com/a/b"onclick=', None),
        ("repo", None),
        ("", None),
        (None, None),
    ],
)
def test_links_are_built_for_known_forges_only(repo, url):
    """
    From every form that git knows, without credentials, and never anything but http.
    """
    assert commit_url(repo, HASH) == url


def test_a_link_needs_a_hash():
    """
    Without a commit there is only the repository.
    """
    assert commit_url("https://github.com/a/b", "no hash") is None
    assert repo_url("https://github.com/a/b") == "https://github.com/a/b"


def test_names_and_counts_are_told(api, new):
    """
    Metadata, the counts and each chart know a run that was just handed over.
    """
    run = new(status="success", duration_ms=5, items_succeeded=2)
    api.post(RUNS, json=run)

    assert run["agent_name"] in api.get("/api/v1/metadata").json()["agent_names"]
    names = api.get("/api/v1/stats").json()["stats"]
    query = {"agent_name": run["agent_name"]}
    found = {name: api.get(f"/api/v1/stats/{name}", params=query).json() for name in names}
    assert found["summary"]["total_runs"] == 1
    assert found["durations"]["runs"] == 1
    unknown = api.get("/api/v1/stats/bogus")
    assert (unknown.status_code, unknown.json()["type"].rpartition(":")[2]) == (
        404,
        "no-such-statistic",
    )
    with TelemetryAPI(str(api.base_url)) as client, pytest.raises(NotFoundError, match="summary"):
        client.stats("bogus")
    assert api.get("/api/v1/stats/summary?date_from=x").status_code == 400


def test_health_names_no_directory(server, api):
    """
    Neither liveness nor health nor readiness says where anything lies.
    """
    answers = [api.get(path) for path in ("/health", "/healthz", "/readyz", "/metrics")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert answers[0].json()["db_path"] == "telemetry.sqlite"
    assert answers[2].json()["status"] == "ready"
    assert not any(str(server.base) in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("accept", "is_text"),
    [
        ("text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("application/openmetrics-text; version=1.0.0; q=0.5, text/plain;q=0.4", True),
        ("application/json;q=0.1, TEXT/PLAIN", True),
        ("application/json, text/plain, */*", False),
        ("text/plain;q=0", False),
        ("text/plain;q=x", False),
        ("text/html, */*;q=0.1", False),
        ("", False),
    ],
)
def test_what_is_wanted_most_is_answered(api, accept, is_text):
    """
    Prometheus' text where it is named and JSON is not wanted as much.
    """
    answer = api.get("/metrics", headers={"Accept": accept})

    assert answer.headers["content-type"].startswith("text/plain") == is_text
    assert answer.headers["vary"] == "Accept"


def test_a_scraper_gets_its_own_form(api, run):
    """
    By its Accept header; everybody else gets JSON.
    """
    api.post(RUNS, json=run)

    text = api.get("/metrics", headers={"Accept": "text/plain;version=0.0.4"}).text
    document = api.get("/metrics").json()

    line = 'telemetry_requests_total{method="POST",route="/api/v1/runs",status="201"}'
    assert line in text
    assert 'telemetry_runs{status="running"}' in text
    assert document["total_runs"] == sum(document["agents"].values())


def test_no_page_loads_anything_from_elsewhere(api):
    """
    The documentation is a plain page; the API is described at /openapi.json.
    """
    for path in ("/docs", "/redoc"):
        page = api.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert "http://" not in page.text
        assert "https://" not in page.text
    assert api.get("/openapi.json").json()["openapi"].startswith("3.1")
