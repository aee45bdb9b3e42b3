"""Debian's Prometheus and node exporter, on what cronwrap has written."""

import contextlib
import json
import os
import re
import subprocess
import urllib.parse
import urllib.request

import pytest

from support.debian import find
from support.documents import PROJECT
from support.ports import start_somewhere
from support.servers import ended, started

EXAMPLES = os.path.join(PROJECT, "examples", "prometheus")
SCRAPING = f"""
global: {{{{scrape_interval: 1s, evaluation_interval: 1s}}}}
rule_files: ['{EXAMPLES}/cronwrap.rules.yml']
scrape_configs: [{{{{job_name: node, static_configs: [{{{{targets: ['127.0.0.1:{{exporter}}']}}}}]}}}}]
"""
HOSTILE = ['q"uote', "back\\slash", "ümläut", b"\xff\xfe", "{a=1}", "$x", "%41"]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


@contextlib.contextmanager
def program(log, name, *words):
    """Run a server at a port, which it is told as {port} in its words; gives the port."""

    def start(port):
        return port, started([find(name), *(word.format(port=port) for word in words)], port, log)

    port, process = start_somewhere(start)
    try:
        yield port
    finally:
        ended(process)


@pytest.fixture
def written(cli, tmp_path):
    directory = tmp_path / "prom"
    directory.mkdir()
    cli.write_config(f'[metrics]\ntextfile = "{directory}"\n')
    for job in HOSTILE:
        assert cli("-n", job, "--", "true", MAILTO="").status == 0
    assert cli("-n", "fails", "--", "false").status == 1  # its report waits in the outbox
    return directory


def test_promtool_finds_nothing_wrong_with_the_text(needs, written, cli):
    needs("promtool")
    text = cli("metrics").out
    assert text == next(written.iterdir()).read_bytes()
    done = subprocess.run(
        [find("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("words", [("check", "cronwrap.rules.yml"), ("test", "cronwrap.test.yml")])
def test_the_rules_are_right_and_do_what_their_tests_say(needs, words):
    needs("promtool")
    verb, name = words
    done = subprocess.run(
        [find("promtool"), verb, "rules", name], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_has_every_job_and_answers_the_dashboard(needs, written, tmp_path, wait_until):
    needs("minutes", "prometheus", "prometheus-node-exporter")

    def ask(query):
        words = urllib.parse.urlencode({"query": query})
        return json.loads(get(f"http://127.0.0.1:{server}/api/v1/query?{words}"))

    def ready():
        with contextlib.suppress(OSError):
            return bool(ask("cronwrap_build_info")["data"]["result"])

    def alerts():
        found = ask("ALERTS")["data"]["result"]
        return {(one["metric"]["alertname"], one["metric"].get("exported_job")) for one in found}

    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(
            program(
                tmp_path / "exporter.log",
                "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={written}",
                "--web.listen-address=127.0.0.1:{port}",
            )
        )
        (tmp_path / "prometheus.yml").write_text(SCRAPING.format(exporter=exporter), encoding="utf-8")
        server = stack.enter_context(
            program(
                tmp_path / "prometheus.log",
                "prometheus",
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                "--web.listen-address=127.0.0.1:{port}",
            )
        )
        wait_until(ready, timeout=60)
        assert ask("node_textfile_scrape_error")["data"]["result"][0]["value"][1] == "0"
        found = ask('cronwrap_job_runs_total{result="ok"} == 1')["data"]["result"]
        names = {one["metric"]["exported_job"] for one in found}
        assert names == {
            job.decode("utf-8", "backslashreplace") if isinstance(job, bytes) else job for job in HOSTILE
        }
        with open(os.path.join(EXAMPLES, "dashboard.json"), encoding="utf-8") as file:
            queries = re.findall(r'"expr": ("(?:[^"\\]|\\.)*")', file.read())
        assert len(queries) >= 10
        for query in [json.loads(words).replace("$instance", ".*") for words in queries]:
            assert ask(query)["status"] == "success", query
            if "next_run" not in query:  # no crontab names these jobs
                wait_until(lambda query=query: ask(query)["data"]["result"], timeout=60)
        wait_until(lambda: ("CronJobFailed", "fails") in alerts(), timeout=60)
