"""Probes and metrics as those read them for whom they are: promtool, and Prometheus itself."""

import contextlib
import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import clients
import expect
import kept
from mailbearer import LOCAL_PASSWORD, Relay
from message import Message
from processes import HERE, PATIENCE_S, Child, free_port, program, run, wait_for

USER = "alice@xoauth2.test"
DIES_AT = f'mailbearer_grant_dies_at_seconds{{account="{USER}"}}'
RULES = HERE.parents[1] / "deploy" / "alerts.yml"

PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
scrape_configs:
  - job_name: mailbearer
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
rule_files: ["{rules}"]
"""


def alert_rules_are_rules_and_fire_for_what_they_are_for(_):
    """`promtool check rules`, and the unit tests beside this file."""
    run([program("promtool"), "check", "rules", RULES])
    told = run([program("promtool"), "test", "rules", "alerts.yml"], cwd=HERE)
    expect.that(b"SUCCESS" in told, f"promtool says {told!r}")


def metrics_please_promtool_before_and_behind_a_message(scene):
    """`promtool check metrics` has nothing to say of the text that curl gets."""
    with relay_with_probes(scene, "probes-promtool") as (relay, port):
        check_metrics(port)
        send(scene, relay)
        text = wait_for("the message is counted", lambda: counted(port))
        expect.that("mailbearer_token_expires_at_seconds" in text, "no token is told of")
        check_metrics(port)


def prometheus_reads_the_metrics_and_evaluates_the_rules(scene):
    """It asks for OpenMetrics; every rule is healthy and none fires, until the relay is gone."""
    with contextlib.ExitStack() as stack:
        relay, port = stack.enter_context(relay_with_probes(scene, "probes-prometheus"))
        monitor = stack.enter_context(Prometheus(scene.directory / "prometheus", port))
        wait_for("the relay is read", lambda: monitor.value('up{job="mailbearer"}') == "1")
        send(scene, relay)
        wait_for(
            "the message is counted",
            lambda: monitor.value("mailbearer_messages_accepted_total") == "1",
        )
        rules = wait_for("all rules were evaluated", monitor.healthy_rules)
        firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
        expect.that(len(rules) > 9 and not firing, f"of {len(rules)} rules fire {firing}")
        relay.stop()
        wait_for("its end is noticed", lambda: monitor.value('up{job="mailbearer"}') == "0")
        wait_for("its end is about to be told", lambda: "pending" in monitor.states("MailbearerDown"))


def the_end_of_a_consent_is_told(scene):
    """As a time: so long after its last use as the provider's file says."""
    port = free_port()
    with kept.authorized(scene, "probes-consent", more=probes_at(port)) as (relay, _):
        heard = kept.by_smtp(kept.at(scene, relay))
        expect.that(heard.is_accepted, f"the sign-in was answered with {heard.reply}")
        ends_at = wait_for("its end is told", lambda: value(port, DIES_AT))
        days = (ends_at - time.time()) / 86_400
        expect.that(abs(days - kept.IDLE_DAYS) < 1, f"it ends in {days} days")


class Prometheus:
    """A Prometheus that reads the probes at `port` every second."""

    def __init__(self, directory, port):
        directory.mkdir()
        self._port = free_port()
        file = directory / "prometheus.yml"
        file.write_text(PROMETHEUS.format(port=port, rules=RULES))
        self._argv = [
            program("prometheus"), f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        self._log = pathlib.Path(directory) / "prometheus.log"

    def __enter__(self):
        self._child = Child("Prometheus", self._argv, self._log)
        self._child.wait_until_listening(self._port)
        return self

    def __exit__(self, *_):
        self._child.stop()

    def value(self, query):
        """The value of the one series that `query` gives, as text; none if there is none."""
        result = self._ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return result[0]["value"][1] if result else None

    def healthy_rules(self):
        """All rules, once each was evaluated without an error."""
        groups = self._ask("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if rules and all(rule["health"] == "ok" for rule in rules) else None

    def states(self, alert):
        """What that alert is."""
        return [rule["state"] for rule in self.healthy_rules() or [] if rule["name"] == alert]

    def _ask(self, path):
        try:
            return json.loads(get(self._port, f"/api/v1/{path}"))["data"]
        except urllib.error.HTTPError:
            # It listens a moment before it is ready.
            return {"result": [], "groups": []}


@contextlib.contextmanager
def relay_with_probes(scene, name):
    """A relay with probes, and their port."""
    relay = Relay(scene.binary, scene.directory / name, scene.provider, scene.ca_file)
    ports = scene.postfix.port, scene.dovecot.implicit_port
    relay.add_provider("one", "xoauth2", *ports, "implicit")
    relay.add_account(USER, "one")
    port = free_port()
    relay.add(probes_at(port))
    relay.start()
    try:
        yield relay, port
    finally:
        relay.stop()


def probes_at(port):
    """The part of a file that asks for probes there."""
    return f'[web]\nprobes = "127.0.0.1:{port}"\n'


def send(scene, relay):
    """Sends a message through the relay."""
    at = clients.At(relay.smtp_port, relay.imap_port, USER, LOCAL_PASSWORD, str(scene.directory))
    mail = Message(f"probes-{relay.smtp_port}", USER)
    _, _, client = clients.UPLOADERS[0]
    client(at, mail)
    mail.compare(scene.delivered(mail))


def counted(port):
    """The metrics, once a message is counted."""
    text = get(port, "/metrics").decode()
    return text if "\nmailbearer_messages_accepted_total 1\n" in text else None


def value(port, series):
    """What the metrics say of that series; none if they do not."""
    lines = (line.rpartition(" ") for line in get(port, "/metrics").decode().splitlines())
    return next((float(value) for name, _, value in lines if name == series), None)


def check_metrics(port):
    """promtool takes the metrics and finds nothing to mend."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=get(port, "/metrics"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S,
    )
    told = done.stdout.decode()
    expect.that(done.returncode == 0 and not told, f"promtool says {told!r}")


def get(port, path):
    """What stands there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
        return answer.read()


CHECKS = (
    alert_rules_are_rules_and_fire_for_what_they_are_for,
    metrics_please_promtool_before_and_behind_a_message,
    prometheus_reads_the_metrics_and_evaluates_the_rules,
    the_end_of_a_consent_is_told,
)
