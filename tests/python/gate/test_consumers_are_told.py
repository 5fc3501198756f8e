"""`waypoint contracts notify`: who is told what, by which channel, and what is kept on record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from gate.change_table import column, level
from gate.conftest import Repository
from gate.stub_channels import mail_server, webhook

CONTRACT = "marts.loans_by_day"
RECORD = "docs/notices/marts.loans_by_day-v2.yml"
ENDS = str((datetime.now(UTC) + timedelta(days=20)).date())
NOTIFY = ("contracts", "notify", CONTRACT, "--base", "main")


@pytest.fixture
def branch(repository: Repository) -> Repository:
    """A branch on which version 2 comes beside version 1, with fees of another type."""
    repository.git("config", "user.name", "Ada Lovelace")
    old, new = repository.document(CONTRACT), repository.document(CONTRACT)
    repository.path(CONTRACT).unlink()
    old["schema"][0]["physicalName"] = "loans_by_day_v1"
    old["status"] = "deprecated"
    level(old, "endOfLife", value=ENDS)
    new["version"] = "2.0.0"
    new["schema"][0]["physicalName"] = "loans_by_day_v2"
    column(new, "loans").update(physicalType="varchar", logicalType="string")
    repository.write(f"{CONTRACT}-v1", old)
    repository.write(f"{CONTRACT}-v2", new)
    return repository


def record(repository: Repository) -> Any:
    return yaml.safe_load((repository.home / RECORD).read_text())


def told(repository: Repository) -> set[tuple[str, str]]:
    return {(one["consumer"], one["by"]) for one in record(repository)["told"]}


def test_slack_reaches_everybody_at_once(branch: Repository) -> None:
    with webhook() as slack:
        ended = branch.waypoint(
            *NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url, WAYPOINT_SLACK_CHANNEL="#lending"
        )
    assert ended.returncode == 0, ended.stderr
    (post,) = slack.posts
    assert f"marts.loans\\_by\\_day breaks on {ENDS}".replace("\\", "") in post
    assert "column loans changes its type from bigint to varchar" in post
    assert "marts.loans_by_day_v1 stays as it is until" in post
    assert "Lending Board, desk" in post
    expected = {"lending_board", "analyst", "lending-days"}
    assert told(branch) == {(name, "slack") for name in expected}


def test_the_record_says_who_when_by_what_and_what(branch: Repository) -> None:
    with webhook() as slack:
        branch.waypoint(
            *NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url, WAYPOINT_SLACK_CHANNEL="#lending"
        )
    kept = record(branch)
    assert (kept["contract"], kept["version"], kept["replaces"]) == (CONTRACT, "2.0.0", "1.0.0")
    assert str(kept["ends"]) == ENDS
    assert kept["sent_by"] == "Ada Lovelace"
    assert "column loans changes its type" in kept["message"]
    assert {one["to"] for one in kept["told"]} == {"#lending"}
    assert all(str(one["at"]) for one in kept["told"])
    assert "s3cr3t" not in (branch.home / RECORD).read_text()


def test_mail_goes_to_those_with_an_address(branch: Repository) -> None:
    with mail_server() as server:
        ended = branch.waypoint(
            *NOTIFY, WAYPOINT_SMTP_URL=server.url, WAYPOINT_MAIL_FROM="data@library.example"
        )
    assert server.recipients == ["desk@library.example"]
    assert CONTRACT in str(server.mails[0]["Subject"])
    assert told(branch) == {("lending_board", "e-mail")}
    assert ended.returncode == 1  # a role has no address
    assert "analyst" in ended.stderr and "WAYPOINT_MAIL_TO" in ended.stderr


def test_a_default_address_reaches_the_rest(branch: Repository) -> None:
    with mail_server() as server:
        ended = branch.waypoint(
            *NOTIFY,
            WAYPOINT_SMTP_URL=server.url,
            WAYPOINT_MAIL_FROM="data@library.example",
            WAYPOINT_MAIL_TO="everybody@library.example",
        )
    assert ended.returncode == 0
    assert server.recipients == ["everybody@library.example", "desk@library.example"] or set(
        server.recipients
    ) == {"everybody@library.example", "desk@library.example"}
    assert len(told(branch)) == 3


def test_nobody_is_told_twice(branch: Repository) -> None:
    with webhook() as slack:
        for _ in range(2):
            ended = branch.waypoint(*NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url)
    assert len(slack.posts) == 1
    assert ended.returncode == 0 and "told before" in ended.stdout


def test_what_failed_is_sent_by_running_it_again(branch: Repository) -> None:
    """Slack is away, mail works: who was told by mail is on record, the others are told later."""
    with mail_server() as server, webhook(answer=503) as slack:
        environment = {
            "WAYPOINT_SMTP_URL": server.url,
            "WAYPOINT_MAIL_FROM": "data@library.example",
            "WAYPOINT_SLACK_WEBHOOK": slack.url,
        }
        first = branch.waypoint(*NOTIFY, **environment)
        assert first.returncode == 3
        assert "503" in first.stderr and "s3cr3t" not in first.stderr
        assert told(branch) == {("lending_board", "e-mail")}
        slack.answer = 200
        second = branch.waypoint(*NOTIFY, **environment)
    assert second.returncode == 0, second.stderr
    assert {name for name, _ in told(branch)} == {"lending_board", "analyst", "lending-days"}


def test_a_webhook_that_cannot_be_reached_keeps_its_secret(branch: Repository) -> None:
    url = "http://127.0.0.1:9/services/T0/B0/s3cr3t-part"
    ended = branch.waypoint(*NOTIFY, WAYPOINT_SLACK_WEBHOOK=url)
    assert ended.returncode == 3
    assert "s3cr3t" not in ended.stderr + ended.stdout
    assert not (branch.home / RECORD).exists()


def test_an_address_that_is_refused_was_not_told(branch: Repository) -> None:
    with mail_server("desk@library.example") as server:
        ended = branch.waypoint(
            *NOTIFY, WAYPOINT_SMTP_URL=server.url, WAYPOINT_MAIL_FROM="data@library.example"
        )
    assert ended.returncode == 3
    assert "desk@library.example" in ended.stderr
    assert not (branch.home / RECORD).exists()


def test_the_gate_takes_the_record(branch: Repository) -> None:
    with webhook() as slack:
        branch.waypoint(*NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url)
    ended = branch.waypoint("contracts", "check", "--base", "main", "--json")
    found = [f for f in json.loads(ended.stdout)["findings"] if f["cover"]]
    conditions = {c["name"]: c["met"] for c in found[0]["cover"]["conditions"]}
    assert conditions["notification"] and conditions["window"]


def test_a_dry_run_sends_and_keeps_nothing(branch: Repository) -> None:
    with webhook() as slack:
        ended = branch.waypoint(*NOTIFY, "--dry-run", WAYPOINT_SLACK_WEBHOOK=slack.url)
    assert ended.returncode == 0
    assert "Lending Board" in ended.stdout
    assert slack.posts == [] and not (branch.home / RECORD).exists()


def test_without_a_channel_it_says_which_to_set(branch: Repository) -> None:
    ended = branch.waypoint(*NOTIFY)
    assert ended.returncode == 2
    assert "WAYPOINT_SLACK_WEBHOOK" in ended.stderr and "WAYPOINT_SMTP_URL" in ended.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WAYPOINT_SLACK_WEBHOOK": "hooks.slack.com/x"}, "WAYPOINT_SLACK_WEBHOOK"),
        ({"WAYPOINT_SMTP_URL": "mail.library.example"}, "WAYPOINT_SMTP_URL"),
        ({"WAYPOINT_SMTP_URL": "smtp://mail.library.example"}, "WAYPOINT_MAIL_FROM"),
    ],
)
def test_a_channel_set_wrongly_is_named(
    environment: dict[str, str], said: str, branch: Repository
) -> None:
    ended = branch.waypoint(*NOTIFY, **environment)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_nobody_is_told_before_the_end_is_set(branch: Repository) -> None:
    def forget(document: dict[str, Any]) -> None:
        document["slaProperties"] = [
            sla for sla in document["slaProperties"] if sla["property"] != "endOfLife"
        ]

    branch.edit(f"{CONTRACT}-v1", forget)
    with webhook() as slack:
        ended = branch.waypoint(*NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url)
    assert ended.returncode == 2 and slack.posts == []
    assert "until when" in ended.stderr and "endOfLife" in ended.stderr


def test_nothing_that_breaks_is_nothing_to_tell(repository: Repository) -> None:
    ended = repository.waypoint("contracts", "notify", CONTRACT, "--base", "main")
    assert ended.returncode == 2
    assert "nothing to tell" in ended.stderr


def test_the_end_of_a_table_is_told_before_it_breaks_anybody(repository: Repository) -> None:
    repository.edit(CONTRACT, lambda d: d.update(status="deprecated"))
    repository.edit(CONTRACT, lambda d: level(d, "endOfLife", value=ENDS))
    with webhook() as slack:
        ended = repository.waypoint(*NOTIFY, WAYPOINT_SLACK_WEBHOOK=slack.url)
    assert ended.returncode == 0, ended.stderr
    assert "It is built until" in slack.posts[0]
    assert (repository.home / "docs/notices/marts.loans_by_day-v1.yml").exists()
