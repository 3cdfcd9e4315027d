"""What `deploy/` and docs/deployment.md say to do, as far as it can be tried without a container engine: every command line of
`ovation` against the binary itself, ports and probes against what it serves, and that the files hold what they promise."""

import math
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import httpx
import pytest
import yaml

import processes

ROOT = processes.ROOT
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PAGE = ROOT / "docs/deployment.md"
# What a process takes after the gateway's own drain: the engine's batch, the broker's requests, and the rest.
ENGINE_S, BROKER_S, REST_S = 5, 10, 1
# Not an option, so that a line which is right up to it starts nothing.
SENTINEL = "--here-the-line-ends"
PINNED = re.compile(r"^(?:[a-z0-9.-]+/)*[a-z-]+:\d[\w.-]*$")


def complaint(arguments, environment=None):
    """What the binary has against a command line, or nothing. The last known option makes it look at the value before, too."""
    last = [] if value_of(arguments, "--log") else ["--log=warn"]
    process = subprocess.run(
        [processes.BINARY, *arguments, *last, SENTINEL],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )
    first = process.stderr.splitlines()[0] if process.stderr else f"exit code {process.returncode}"
    return None if SENTINEL in first else first


def as_options(variables):
    """Environment variables of `ovation` as the options they stand for: only those are looked at before anything starts."""
    options = {name.removeprefix("OVATION_").lower().replace("_", "-"): str(value) for name, value in variables.items()}
    return [f"--{name}" if value == "true" else f"--{name}={value}" for name, value in options.items() if value != "false"]


def help_of(command):
    return subprocess.run([processes.BINARY, *command, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout


def variables_of(command):
    return set(re.findall(r"\[env: (OVATION_\w+)=", help_of(command)))


def default_of(command, option):
    return re.search(rf"{option} .*?\[default: (.+?)\]", help_of(command), re.DOTALL).group(1)


def value_of(arguments, option):
    return next((text.split("=", 1)[1] for text in arguments if text.startswith(f"{option}=")), None)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)?", str(text)).groups()
    return int(number) * (60 if unit == "m" else 1)


def drain_of(arguments):
    return seconds(value_of(arguments, "--drain") or default_of(["gateway"], "--drain"))


def documents(file):
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def compose(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def services(name):
    return compose(name)["services"].items()


COMPOSE = ["compose.yaml", "compose.single.yaml"]


# The page.


def commands_of_the_page():
    """Each `ovation …` of a fenced block, also behind a variable, a pipe or another command."""
    blocks = re.findall(r"^```(?:sh|console|ini|yaml)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", "".join(blocks)).splitlines()
    found = []
    for line in lines:
        for inner in re.findall(r"\$\(ovation ([^)]*)\)", line):
            found.append(shlex.split(inner))
        line = re.sub(r"\$\([^)]*\)", "x", line.removeprefix("$ ").removeprefix("ExecStart=/usr/local/bin/"))
        for part in re.split(r"\s[|&;]+\s", line):
            words = shlex.split(part, comments=True)
            while words and (words[0] == "sudo" or re.match(r"^\w+=", words[0])):
                words = words[1:]
            if words[:1] == ["ovation"]:
                found.append([word for word in words[1:] if word != "&"])
    return found


def test_the_page_has_commands_and_each_is_right():
    commands = commands_of_the_page()
    assert len(commands) > 10
    assert {" ".join(command): complaint(command) for command in commands if complaint(command)} == {}


def test_the_page_names_only_options_that_there_are():
    known = "".join(help_of(c) for c in (["run"], ["gateway"], ["engine"], ["broker"], ["audit"], ["token"]))
    known += "".join(help_of(["topology", c]) for c in ("apply", "plan", "reset", "validate", "describe", "test"))
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `--")]
    named = {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row.split("|")[1])}
    assert named and {option for option in named if f"{option} " not in known and f"{option}\n" not in known} == set()


def test_the_page_gives_the_defaults_that_hold():
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `?([^|`]+?)`? \|", PAGE.read_text(), re.MULTILINE)
    said = {option: default for option, default in rows if default not in ("off", "none")}
    assert said
    assert {option: default_of(["run"], option) for option in said} == said


def test_links_of_the_page_lead_somewhere():
    for target in re.findall(r"\]\(([^)#h][^)#]*)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target


def rows_under(heading):
    """Cells of the table behind a bold heading of the page, without its own heading."""
    text = PAGE.read_text().split(f"**{heading}", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE).group(0).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_capacity_table_is_what_its_formulas_make():
    measured = {row[0].strip("`"): float(row[1]) for row in rows_under("Measured**")}
    assumed = {row[0].strip("`"): [float(cell) for cell in row[1:5]] for row in rows_under("Assumed**")}
    wrong = {}
    for case in range(4):
        names = measured | {name: values[case] for name, values in assumed.items()} | {"ceil": math.ceil, "max": max}
        for what, formula, *cells in rows_under("Computed:**"):
            value = eval(formula.strip("`"), {"__builtins__": {}}, names)  # noqa: S307: the formula is this repository's own
            name = re.match(r"`(\w+)`", what)
            if name:
                names[name.group(1)] = value
            if float(cells[case]) != pytest.approx(value, rel=0.07, abs=5e-4):
                wrong[f"{what}, column {case + 1}"] = f"{cells[case]} should be {value:.3g}"
    assert wrong == {}


@pytest.mark.parametrize("file", ["README.md", "docs/start.md"])
def test_the_page_is_found(file):
    assert "deployment.md" in (ROOT / file).read_text()


# The image.


def test_the_image_is_made_of_what_is_there():
    lines = re.sub(r"\\\n\s*", " ", (DEPLOY / "Containerfile").read_text()).splitlines()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", "\n".join(lines), re.MULTILINE))
    bases = [re.sub(r"\$\{(\w+)\}", lambda m: arguments[m.group(1)], line.split()[1]) for line in lines if line.startswith("FROM")]
    assert len(bases) == 3 and all(PINNED.match(base) for base in bases), bases
    needed = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text()).group(1)
    assert [int(n) for n in arguments["RUST_VERSION"].split(".")] >= [int(n) for n in needed.split(".")]
    assert int(arguments["NODE_VERSION"].split(".")[0]) >= 18
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    assert "USER 10001:10001" in lines
    environment = dict(re.findall(r"(OVATION_\w+)=(\S+)", next(line for line in lines if line.startswith("ENV"))))
    known = variables_of(["run"]) | variables_of(["engine"])
    assert set(environment) <= known
    assert os.access(DEPLOY / "ready", os.X_OK)


def test_the_build_leaves_out_what_is_large_and_keeps_what_it_copies():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"target", ".git", "**/node_modules", "data"} <= set(ignored)
    assert "!deploy/ready" in ignored and "topology.yaml" not in ignored


# Compose.


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_command_lines_are_right(name):
    lines = {service: body["command"] for service, body in services(name) if body["image"].startswith("ovation:")}
    assert lines
    assert {service: complaint(line) for service, line in lines.items() if complaint(line)} == {}


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_services_are_pinned_bounded_and_locked_down(name):
    for service, body in services(name):
        assert PINNED.match(body["image"]), service
        assert body["read_only"] is True and body["cap_drop"] == ["ALL"], service
        assert body["security_opt"] == ["no-new-privileges:true"], service
        assert set(body["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, service
        assert "privileged" not in body and body.get("network_mode") in (None, "none"), service
        for port in body.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{service} is published to everybody"


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_parts_refer_to_each_other(name):
    document = compose(name)
    for service, body in document["services"].items():
        once = not body.get("restart") or body["restart"] == "on-failure"
        for other, how in body.get("depends_on", {}).items():
            there = document["services"][other]
            if how["condition"] == "service_healthy":
                assert "test" in there["healthcheck"], other
            else:
                assert how["condition"] == "service_completed_successfully" and there.get("restart") != "unless-stopped", other
        assert once or ("test" in body["healthcheck"] and body["restart"] == "unless-stopped"), service
        for volume in body.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in document["volumes"], volume
        for network in body.get("networks", []):
            assert network in document["networks"]


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_gives_each_part_time_to_drain(name):
    for service, body in services(name):
        line = body.get("command", [""])
        if body["image"].startswith("ovation:") and line[0] in ("run", "gateway", "engine"):
            needed = {"run": drain_of(line) + ENGINE_S + BROKER_S, "gateway": drain_of(line), "engine": ENGINE_S}[line[0]]
            assert seconds(body["stop_grace_period"]) > needed + REST_S, service
            where = value_of(line, "--status") or value_of(line, "--admin")
            assert body["healthcheck"]["test"][-1].split(":")[1] == where.split(":")[1], service


def test_compose_registers_the_spus_that_it_starts():
    document = compose("compose.yaml")
    script = document["services"]["registration"]["command"][-1].replace("$$", "$")
    subprocess.run(["/bin/sh", "-nc", script], check=True)
    ids = re.search(r"for id in ([\d ]+);", script).group(1).split()
    started = {name.removeprefix("spu-"): body["command"] for name, body in services("compose.yaml") if name.startswith("spu-")}
    assert set(ids) == set(started)
    for number, line in started.items():
        assert line[line.index("--id") + 1] == number
    metadata = re.search(r"<<SPU\n(.*?)\nSPU\n", script, re.DOTALL).group(1).replace("$id", ids[0])
    spec = yaml.safe_load(metadata.replace("!1.0.0\n", ""))["spec"]
    assert spec["spuId"] == int(ids[0]) and spec["publicEndpoint"]["ingress"][0]["hostname"] == f"spu-{ids[0]}"


def test_the_gateways_believe_the_proxy_of_their_network():
    document = compose("compose.yaml")
    subnet = document["networks"]["inner"]["ipam"]["config"][0]["subnet"]
    for name in ("gateway-a", "gateway-b"):
        assert value_of(document["services"][name]["command"], "--trusted-proxies") == subnet
    nginx = (DEPLOY / "proxy/nginx.conf").read_text()
    assert re.findall(r"^ +server (\S+:8080)", nginx, re.MULTILINE) == ["gateway-a:8080", "gateway-b:8080"]
    assert "proxy_buffering off;" in nginx and "X-Forwarded-For $proxy_add_x_forwarded_for" in nginx
    size = re.search(r"client_max_body_size (\d+)k;", nginx).group(1)
    assert default_of(["gateway"], "--batch-max") == f"{size}KiB"


# Kubernetes.


def objects():
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    named = set(kustomization["resources"])
    assert named == {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    return [document for name in sorted(named) for document in documents(KUBERNETES / name)]


def of_kind(kind):
    return {document["metadata"]["name"]: document for document in objects() if document["kind"] == kind}


def workloads():
    return of_kind("Deployment") | of_kind("Job")


def container(workload):
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return only


def test_kubernetes_command_lines_are_right(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(of_kind("ConfigMap")["ovation-gateway"]["data"]["gateway.toml"])
    settings = of_kind("ConfigMap")["ovation-settings"]["data"]
    assert set(settings) <= variables_of(["gateway"]) | variables_of(["engine"])
    for name, workload in workloads().items():
        line = [re.sub(r"\$\((\w+)\)", lambda m: settings[m.group(1)], text) for text in container(workload)["args"]]
        mounted = {text: text.replace("/etc/ovation/gateway/gateway.toml", str(file)) for text in line}
        assert complaint(mounted.values()) is None, name
        assert not any("$" in text for text in line), name
    assert complaint(["gateway", *as_options(settings)]) is None


def test_the_gateways_file_has_values_that_the_gateway_takes():
    table = tomllib.loads(of_kind("ConfigMap")["ovation-gateway"]["data"]["gateway.toml"])
    assert complaint(["gateway", *(f"--{name}={value}" for name, value in table.items())]) is None


def test_kubernetes_runs_pinned_images_as_nobody_in_particular():
    (image,) = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    assert PINNED.match(f"{image['newName']}:{image['newTag']}")
    for name, workload in workloads().items():
        pod, only = workload["spec"]["template"]["spec"], container(workload)
        assert only["image"] == image["name"], name
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["automountServiceAccountToken"] is False, name
        inner = only["securityContext"]
        assert inner["allowPrivilegeEscalation"] is False and inner["readOnlyRootFilesystem"] is True, name
        assert inner["capabilities"] == {"drop": ["ALL"]}, name
        assert only["resources"]["requests"].keys() == {"cpu", "memory"} and "memory" in only["resources"]["limits"], name
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_kubernetes_probes_ask_what_is_served_where_it_is_served():
    for name, workload in of_kind("Deployment").items():
        only = container(workload)
        ports = {port["name"]: port["containerPort"] for port in only["ports"]}
        where = value_of(only["args"], "--status") or value_of(only["args"], "--admin")
        paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
        for probe, path in paths.items():
            asked = only[probe]["httpGet"]
            assert asked["path"] == path and ports[asked["port"]] == int(where.split(":")[1]), f"{name} {probe}"
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == where.split(":")[1] and annotations["prometheus.io/path"] == "/metrics"


def test_kubernetes_waits_for_the_drain():
    table = tomllib.loads(of_kind("ConfigMap")["ovation-gateway"]["data"]["gateway.toml"])
    gateway, engine = (of_kind("Deployment")[f"ovation-{name}"]["spec"]["template"]["spec"] for name in ("gateway", "engine"))
    before = int(gateway["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert gateway["terminationGracePeriodSeconds"] > before + seconds(table["drain"]) + REST_S
    assert engine["terminationGracePeriodSeconds"] > ENGINE_S + REST_S


def test_kubernetes_objects_select_what_is_there():
    pods = [w["spec"]["template"]["metadata"]["labels"] for w in workloads().values()]
    selecting = [d["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget") for d in of_kind(kind).values()]
    selecting += [d["spec"]["selector"] for d in of_kind("Service").values()]
    selecting += [d["spec"]["podSelector"].get("matchLabels", {}) for d in of_kind("NetworkPolicy").values()]
    for labels in selecting:
        assert any(labels.items() <= pod.items() for pod in pods), labels
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    scaled = of_kind("Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in scaled["spec"], "the autoscaler's number would be set back by every apply"
    assert of_kind("Deployment")["ovation-engine"]["spec"]["replicas"] == 2
    assert {} in [d["spec"]["podSelector"] for d in of_kind("NetworkPolicy").values()], "there is no policy for all pods"


def test_no_secret_is_committed():
    assert of_kind("Secret") == {}
    mounted = container(of_kind("Deployment")["ovation-gateway"])
    keys = value_of(mounted["args"], "--keys")
    assert any(str(pathlib.PurePath(keys).parent) == mount["mountPath"] for mount in mounted["volumeMounts"])


# systemd.


def unit():
    lines = (DEPLOY / "systemd/ovation.service").read_text().splitlines()
    return [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]


def environment_file():
    lines = (DEPLOY / "systemd/ovation.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_units_command_line_and_environment_are_right():
    command = dict(unit())["ExecStart"].split()
    assert command[0] == "/usr/local/bin/ovation"
    environment = environment_file()
    assert set(environment) <= variables_of(["run"])
    assert complaint([*command[1:], *as_options(environment)]) is None


def test_the_unit_has_room_for_sockets_and_time_to_drain():
    settings = dict(unit())
    assert int(settings["LimitNOFILE"]) > sum(int(default_of(["run"], f"--{name}-max")) for name in ("connections", "feed-clients"))
    assert int(settings["TimeoutStopSec"]) > seconds(environment_file()["OVATION_DRAIN"]) + ENGINE_S + BROKER_S + REST_S
    assert settings["ProtectSystem"] == "strict" and settings["NoNewPrivileges"] == "yes"
    assert environment_file()["OVATION_DATA"].startswith(f"/var/lib/{settings['StateDirectory']}/")


# What runs.


def ready(where):
    return subprocess.run([DEPLOY / "ready", where.removeprefix("http://")], timeout=10, capture_output=True).returncode


def test_the_readiness_check_and_the_probes_are_answered(tmp_path):
    broker = processes.broker(tmp_path / "data")
    started = [broker]
    try:
        topology = ROOT / "topology.yaml"
        code, text = processes.outcome("topology", "apply", topology, "--cluster", broker.control, seconds=120)
        assert code == 0, text
        engine = processes.Process("engine", "--cluster", broker.control, "--topology", topology, "--status", processes.FREE)
        started.append(engine)
        gateway = processes.Process(
            "gateway", "--cluster", broker.control, "--topology", topology, "--http", processes.FREE, "--admin", processes.FREE
        )
        started.append(gateway)
        status = re.search(r"^status +(http://\S+)/readyz$", engine.wait_ready().text, re.MULTILINE).group(1)
        admin = gateway.wait_ready().admin
        for where in (status, admin):
            for path in ("/healthz", "/readyz", "/metrics"):
                assert httpx.get(f"{where}{path}", timeout=10).status_code == 200, f"{where}{path}"
            assert ready(where) == 0
        assert httpx.get(f"{gateway.http}/metrics", timeout=10).status_code == 404
        for process in (gateway, engine):
            assert process.terminate() == 0
        assert ready(admin) == 1
    finally:
        for process in reversed(started):
            process.end()
