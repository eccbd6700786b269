"""
The files for Docker, Kubernetes and systemd, checked as far as they can be without their engines.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import click
import pytest
import yaml
from guarded_service import running

from telemetry.cli.main import cli
from telemetry.config import TelemetryConfig
from telemetry.config.setting import METADATA_KEY
from telemetry.service.auth import ROUTES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "docker-compose.yml"
MANIFEST = DEPLOY / "kubernetes.yaml"
UNIT = DEPLOY / "telemetry.service"
PAGE = DEPLOY / "deploy.md"
GUIDES = [ROOT / "docs" / "guides" / f"{name}.md" for name in ("service", "security")]
FILES = [DOCKERFILE, COMPOSE, MANIFEST, UNIT, PAGE, *GUIDES]
TIME_LIMIT_S = 60

INSTRUCTIONS = set(
    "FROM WORKDIR COPY RUN ENV USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()
)
SERVICE_KEYS = set(
    "build image container_name restart init ports environment volumes read_only tmpfs cap_drop "
    "security_opt cpus mem_limit pids_limit stop_grace_period logging".split()
)


def variables():
    described = [f.metadata.get(METADATA_KEY) for f in attrs.fields(TelemetryConfig)]
    return {name for each in described if each for name in each.variables}


def instructions():
    """
    Return the Dockerfile's instructions with their arguments, continued lines joined.
    """
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def values_of(name):
    return [argument for instruction, argument in instructions() if instruction == name]


def compose():
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def manifests():
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}


def pod():
    return manifests()["StatefulSet"]["spec"]["template"]


def check_command(words):
    """
    Fail unless a command line is one that click understands.
    """
    context = click.Context(cli, info_name="telemetry")
    command, words = cli, [word for word in words if not word.startswith("@")]
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        context = click.Context(found, context, name)
        command = found
    parser = command.make_parser(context)
    parser.parse_args(words)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_variable_is_a_setting(file):
    """
    A variable that a file sets or names is one of the settings.
    """
    named = set(re.findall(r"\b(?:TELEMETRY|METRICS_API)_[A-Z_]+\b", file.read_text("utf-8")))

    assert named - variables() - {"TELEMETRY_"} == set()


@pytest.mark.parametrize("file", [COMPOSE, MANIFEST, PAGE, *GUIDES], ids=lambda file: file.name)
def test_each_command_is_one_of_ours(file):
    """
    Each ``telemetry …`` that a file shows in a block is understood, with its options.
    """
    text = file.read_text("utf-8")
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) or [
        "\n".join(re.findall(r"^#(.*)$", text, re.MULTILINE))
    ]
    joined = "\n".join(blocks).replace("\\\n", " ")
    shown = re.findall(
        r"^[ $]*(?:sudo .* |docker-compose exec \S+ )?(?:/opt/telemetry/bin/)?telemetry +([a-z].*)$",
        joined,
        re.MULTILINE,
    )

    for line in shown:
        words = shlex.split(re.split(r" [|>&#] ?| -- ", line)[0])
        check_command(words)


def test_the_dockerfile_is_one():
    """
    Each instruction is known, what is copied exists, and lists are JSON.
    """
    found = instructions()
    copied = [shlex.split(each)[:-1] for each in values_of("COPY") if "--from" not in each]

    assert {instruction for instruction, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    assert all((ROOT / source).exists() for sources in copied for source in sources)
    assert json.loads(values_of("ENTRYPOINT")[0]) == ["telemetry"]
    check_command(json.loads(values_of("CMD")[0]))
    assert json.loads(values_of("VOLUME")[0]) == ["/data"]


def test_the_context_has_what_is_copied():
    """
    What the Dockerfile copies is not left out of the context, and secrets are.
    """
    kept = (ROOT / ".dockerignore").read_text("utf-8").split()
    copied = [shlex.split(each)[:-1] for each in values_of("COPY") if "--from" not in each]

    assert kept[0] == "*"
    assert {f"!{source}" for sources in copied for source in sources} <= set(kept)


def test_the_image_is_for_an_ordinary_user():
    """
    The image has a user of its own, keeps data in /data, and installs no tool for health checks.
    """
    base = values_of("FROM")[-1]

    assert re.fullmatch(r"python:3\.\d+-slim", base)
    assert values_of("USER") == ["1000:1000"]
    assert "TELEMETRY_BASE_DIR=/data" in values_of("ENV")[0]
    assert "curl" not in DOCKERFILE.read_text("utf-8")


def test_the_image_is_of_a_supported_python():
    """
    The base image has a Python that the library runs on.
    """
    supported = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    minors = {int(re.search(r"3\.(\d+)", base)[1]) for base in values_of("FROM")}

    assert all(int(supported[1]) <= minor < int(supported[2]) for minor in minors)


def test_the_health_check_tells_health(tmp_path):
    """
    The image's own check ends with 0 where the service answers, and not where nobody does.
    """
    options, _, words = values_of("HEALTHCHECK")[0].partition("CMD ")
    name, *args = json.loads(words)

    def check(port):
        env = {**os.environ, "TELEMETRY_API_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, *args],
            env=env,
            timeout=TIME_LIMIT_S,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode

    assert name == "python"
    assert set(re.findall(r"--([a-z-]+)=", options)) == {
        "interval", "timeout", "start-period", "retries"
    }  # fmt: skip
    with running(tmp_path / "base") as service:
        assert check(service.address[1]) == 0
    assert check(service.address[1]) != 0


def test_the_compose_file_is_one():
    """
    One service, with keys that exist, on loopback alone, that can write nothing but its data.
    """
    document = compose()
    (service,) = document["services"].values()

    assert document.keys() == {"name", "services", "volumes"}
    assert service.keys() <= SERVICE_KEYS
    assert service["ports"] == ["127.0.0.1:8765:8765"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == [f"{name}:/data" for name in document["volumes"]]


def test_the_compose_file_starts_as_it_is():
    """
    Its variables, as they are without any in the environment, make usable settings.
    """
    (service,) = compose()["services"].values()
    defaults = {
        name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
        for name, value in service["environment"].items()
    }
    config = TelemetryConfig.from_env(defaults)

    assert config.problems == ()
    assert not config.api_auth_token
    assert config.api_allow_unauthenticated
    assert config.api_allowed_hosts == tuple(compose()["services"])


def test_the_manifest_hangs_together():
    """
    Selectors, ports and volumes of the Kubernetes objects name each other rightly.
    """
    objects = manifests()
    labels = pod()["metadata"]["labels"]
    (container,) = pod()["spec"]["containers"]
    (port,) = container["ports"]
    (exposed,) = objects["Service"]["spec"]["ports"]
    claims = objects["StatefulSet"]["spec"]["volumeClaimTemplates"]
    volumes = {each["name"] for each in pod()["spec"]["volumes"]}
    volumes |= {each["metadata"]["name"] for each in claims}
    policy = objects["NetworkPolicy"]["spec"]

    assert objects.keys() == {"Service", "StatefulSet", "NetworkPolicy"}
    assert {each["apiVersion"] for each in objects.values()} == {
        "v1", "apps/v1", "networking.k8s.io/v1"
    }  # fmt: skip
    for selector in (
        objects["Service"]["spec"]["selector"],
        objects["StatefulSet"]["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    assert objects["StatefulSet"]["spec"]["serviceName"] == objects["Service"]["metadata"]["name"]
    assert exposed["targetPort"] == port["name"] == policy["ingress"][0]["ports"][0]["port"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    check_command(list(container["args"]))


def test_the_pod_is_confined():
    """
    One replica, no privilege, nothing but its volume to write to, probes that are open routes.
    """
    spec = pod()["spec"]
    (container,) = spec["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]

    assert manifests()["StatefulSet"]["spec"]["replicas"] == 1
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(ROUTES["GET", probe["path"]].scope is None for probe in probes)
    assert {probe["port"] for probe in probes} == {"http"}


def test_the_pods_settings_can_be_used():
    """
    The container's variables make usable settings, and the token comes from a secret.
    """
    (container,) = pod()["spec"]["containers"]
    environ = {
        each["name"]: each.get("value", "a-token-from-the-secret") for each in container["env"]
    }
    (secret,) = [each for each in container["env"] if "valueFrom" in each]
    config = TelemetryConfig.from_env(environ)

    assert config.problems == ()
    assert secret["name"] == "TELEMETRY_API_AUTH_TOKEN"
    assert str(config.base_dir).startswith(container["volumeMounts"][0]["mountPath"])


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not here")
def test_kubectl_knows_each_key(tmp_path):
    """
    Read into kubectl's own types and written again, no key of the manifest is missing.
    """
    done = subprocess.run(
        [
            "kubectl",
            "label",
            "--local",
            "--filename",
            str(MANIFEST),
            "seen=yes",
            "--output",
            "yaml",
        ],
        env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    again = re.split(r"^apiVersion:", done.stdout, flags=re.MULTILINE)[1:]
    documents = {each["kind"]: each for each in (yaml.safe_load(f"apiVersion:{t}") for t in again)}

    def missing(ours, theirs, place):
        if isinstance(ours, dict):
            for key, value in ours.items():
                if key in theirs:
                    yield from missing(value, theirs[key], f"{place}.{key}")
                else:
                    yield f"{place}.{key}"
        elif isinstance(ours, list):
            for i, value in enumerate(ours):
                yield from missing(value, theirs[i], f"{place}[{i}]")

    assert done.returncode == 0, done.stderr
    assert [*missing(manifests(), documents, "")] == []


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def test_the_unit_starts_the_service():
    """
    The unit runs a command of ours with settings of ours, as a user of its own, restricted.
    """
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])
    name, _, value = service["Environment"].partition("=")

    assert program == "/opt/telemetry/bin/telemetry"
    check_command(words)
    assert (name, value) == ("TELEMETRY_BASE_DIR", f"/var/lib/{service['StateDirectory']}")
    assert service["User"] == "telemetry"
    assert (service["ProtectSystem"], service["NoNewPrivileges"]) == ("strict", "yes")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_understands_the_unit(tmp_path):
    """
    ``systemd-analyze verify`` has nothing to say, once the program is one that exists here.
    """
    copy = tmp_path / "telemetry.service"
    text = UNIT.read_text("utf-8").replace("/opt/telemetry/bin/telemetry", "/bin/true")
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "telemetry.service" in line]

    assert (done.returncode, about_ours) == (0, [])
