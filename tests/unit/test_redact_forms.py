"""Redaction, form by form: secrets as programs print and people pass them, and what only looks like one."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronwrap.model import STDOUT, Mark, Output
from cronwrap.redact import hinted
from cronwrap.redact.redactor import Redactor
from cronwrap.settings.job_name import job_name

PLAIN = Redactor()
CORPUS = os.path.join(os.path.dirname(__file__), "..", "data", "redact")
LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cK0"
BODY = "\n".join([LINE] * 5 + ["Qx4Tz1a="])
BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"


# Headers and tokens as they are printed -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'Authorization': b'Bearer s3cr3tt0ken'}", "{'Authorization': b'[redacted]'}"),
        ("{b'Authorization': b'Basic dTpw'}", "{b'Authorization': b'[redacted]'}"),
        ('{"Authorization": b"Bearer s3cr3tt0ken"}', '{"Authorization": b"[redacted]"}'),
        ("{u'Authorization': u'Bearer s3cr3tt0ken', u'a': 1}", "{u'Authorization': u'[redacted]', u'a': 1}"),
        ("{'Authorization': rb'Bearer x'}", "{'Authorization': rb'[redacted]'}"),
        ("[('Authorization', 'Basic dTpw'), ('a', 'b')]", "[('Authorization', '[redacted]'), ('a', 'b')]"),
        ("[(b'authorization', b'Basic dTpw')]", "[(b'authorization', b'[redacted]')]"),
        ('"Authorization" => "Bearer abc"', '"Authorization" => "[redacted]"'),
        (r'{"authorization": "Digest u=\"a\", r=\"s3\"", "b": 1}', '{"authorization": "[redacted]", "b": 1}'),
        (r"'Authorization': 'Token it\'s s3cr3t', 1", "'Authorization': '[redacted]', 1"),
        (
            r"{\"Authorization\": \"Bearer a\\\"b\", \"c\": 1}",
            r"{\"Authorization\": \"[redacted]\", \"c\": 1}",
        ),
        ("Authorization\x1b[0m: Bearer abc", "Authorization\x1b[0m: [redacted]"),
        ("\x1b[32mAuthorization\x1b[39m\x1b[36m:\x1b[0m Basic dTpw\nx", "…[redacted]\nx"),
        ("> authorization: Bearer abc", "> authorization: [redacted]"),
        ("ghp_a1B2c3D4e5\x1b[31mF6g7H8i9J0a1B2c3D4e5F6g7\x1b[0m.", "[redacted]\x1b[0m."),
        ("https://u:se\x1b[1mcret@host/", "https://u:[redacted]@host/"),
        ("x=AKIA\x1b[0mIOSFODNN7EXAMPLE", "x=[redacted]"),
        (r"got\nhf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567", r"got\n[redacted]"),
        ("sk-proj-a1B2c3D4e5F6g7H8_i9J0a1B2c3D4e5F6g7", "[redacted]"),
        ("sk-ant-api03-a1B2c3D4e5F6g7H8-i9J0a1B2c3D4", "[redacted]"),
        ("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", "[redacted]"),
    ],
)
def test_a_secret_goes_however_it_is_printed(text, expected):
    found = PLAIN.text(text)
    if expected.startswith("…"):
        assert found.endswith(expected[1:])
        assert "dTpw" not in found
    else:
        assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "ERROR authorization: user bob lacks role admin",
        "authorization: user bob lacks role admin",
        "WARN Authorization: failed",
        "Authorization: required",
        'level=info msg="authorization: token expired for bob"',
        "authorization: bearer token is missing",
        "pam: authorization: denied (uid=0)",
        'headers = ["Cookie", "Authorization", "Proxy-Authorization"]',
        'request.add_header("Authorization", auth)',
        "hf_hub_download_with_cache_dir",
        "hf_hub_download_with_v2_cache_dir_and_retries_3",
        "npm_config_registry_with_x",
        "npm_config_node_gyp_v10_cache_directory_path",
        "npm_package_dependencies_lodash_merge_4_6_2",
        "sk-learn-contrib-imbalanced-learn",
        "sk-learn-0.24.2-cp39-cp39-manylinux2010_x86_64",
        "SG.example.domain.name.of.some.length.that.is.long",
        "ghp_this_is_not_a_token_but_a_name",
        "github_pat_tern_matching_with_names",
        "xoxb-mock-server-for-tests",
        "pip install hf_transfer_progress_callback_function",
    ],
)
def test_what_only_begins_like_a_secret_stays(text):
    assert PLAIN.text(text) == text


SEQUENCES = ["\x1b[31m", "\x1b[0m", "\x1b[1;38;5;208m", "\x1b[K", "\x1b(B", "\x1b]8;;\x07"]


@given(
    form=st.sampled_from(
        [
            "{}",
            "see {} there",
            "Authorization: Bearer {}",
            "https://u:{}@host/",
            "{{'Authorization': b'Basic {}'}}",
        ]
    ),
    cuts=st.lists(st.tuples(st.integers(0, 80), st.sampled_from(SEQUENCES)), max_size=6),
)
def test_no_token_survives_colours_wherever_they_stand(form, cuts):
    text = form.format("ghp_Zq7xK2mW9pL4vB8nTyZq7xK2mW9pL4vB8nTy")
    for at, sequence in sorted(cuts, reverse=True):
        text = text[:at] + sequence + text[at:]
    found = PLAIN.text(text)
    for sequence in SEQUENCES:
        found = found.replace(sequence, "")
    assert all(part not in found for part in ("Zq7xK2mW", "9pL4vB8n", "mW9pL4vB"))


# Private keys -------------------------------------------------------------------------------------

LOG = "".join(f"Mar  3 12:00:{n:02d} host app[12]: step {n} of the job is done\n" for n in range(60))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{LOG}{END}\n{LOG}", None),
        (f"{LOG}{BEGIN}\n{LOG}", f"{LOG}[redacted]\n{LOG}"),
        (f"{LOG}{LINE}\n{LINE}\nQx4=\n{END}\n{LOG}", f"{LOG}[redacted]\n{LOG}"),
        (f"{LOG}{BEGIN}\n{LINE}\n{LINE}\n{LOG}", f"{LOG}[redacted]\n{LOG}"),
        (f"{LOG}{BEGIN}\n{BODY}\n{END}\n{LOG}", f"{LOG}[redacted]\n{LOG}"),
        (f"{BEGIN}\n{LOG}{END}\n", None),
        (f"x\n{BEGIN}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,AB\n\n{BODY}\n{END}\ny", "x\n[redacted]\ny"),
        (f'key = "{BEGIN}\\n{LINE}\\n{LINE}\\n{END}\\n"', 'key = "[redacted]\\n"'),
        (f"  {BEGIN}\n  {LINE}\n  {END}\n", "  [redacted]\n"),
        (f"> {BEGIN}\n> {LINE}\n> {END}\n", "> [redacted]\n"),
    ],
)
def test_of_a_key_all_goes_and_of_a_log_nothing(text, expected):
    assert PLAIN.text(text) == (text if expected is None else expected)


def test_lines_of_a_key_go_that_have_a_log_in_between():
    text = "".join(f"Mar 3 host app: {line}\n" for line in [BEGIN, *BODY.split("\n"), END])
    found = PLAIN.text(text + LOG)
    assert LINE[:24] not in found
    assert found.endswith(LOG)


@given(before=st.lists(st.sampled_from(LOG.splitlines()), max_size=5), lines=st.integers(1, 30))
def test_a_lone_end_never_takes_more_than_the_base64_before_it(before, lines):
    text = "\n".join([*before, *[LINE] * lines, END, "after"])
    assert PLAIN.text(text) == "\n".join([*before, "[redacted]", "after"])


# Beside the gap -----------------------------------------------------------------------------------


def beside(head, tail):
    mark = Mark(offset=0, stream=STDOUT, elapsed=0.0)
    found = PLAIN.redact_output(Output(head=head, tail=tail, left_out_bytes=1, marks=(mark,)))
    return found.head, found.tail


@pytest.mark.parametrize("rest", [b"a1B2c3D4", b"9xK2mW", b"abcdefghijkl", b"aXbYcZ", b"F00bar", b"x/9+Ab=="])
def test_the_rest_of_a_token_does_not_survive_after_the_gap(rest):
    assert beside(b"token=", rest + b" then\n") == (b"token=", b"[redacted] then\n")


@pytest.mark.parametrize("rest", [b"ration that", b"10:32 done", b"] ok", b"Error: x", b"\nline"])
def test_the_rest_of_a_word_may_stay_after_the_gap(rest):
    assert beside(b"x ", rest) == (b"x ", rest)


# Command lines ------------------------------------------------------------------------------------

COMMANDS = [
    "mysqldump -u root -p{} db > x",
    "mysql --password={} db",
    "mysql -h x --password {} db",
    "MYSQL_PWD={} mysql db",
    "export MYSQL_PWD={}; mysql",
    "PGPASSWORD={} pg_dump db",
    "PGPASSWORD='{}' pg_dump db",
    "env AWS_SECRET_ACCESS_KEY={} aws s3 ls",
    "AWS_SESSION_TOKEN={} aws s3 ls",
    "curl -u user:{} http://x",
    "curl -fsSu 'user:{}' http://x",
    "curl --user=user:{} http://x",
    "curl --proxy-user u:{} http://x",
    "curl -H 'X-Api-Key: {}' http://x",
    'curl -H "PRIVATE-TOKEN: {}" http://x',
    "curl -H 'Authorization: Bearer {}' http://x",
    'curl -H "Cookie: {}" http://x',
    "curl --oauth2-bearer {} http://x",
    'curl -d \'{{"password": "{}"}}\' http://x',
    "curl 'http://x/?token={}&a=b'",
    "curl ftp://user:{}@host/x",
    "https_proxy=http://u:{}@proxy:8080 apt update",
    "rsync rsync://u:{}@host/x /y",
    "pg_dump postgresql+psycopg://u:{}@db/x",
    "sshpass -p {} ssh h",
    "sshpass -p{} ssh h",
    "wget --http-password={} x",
    "wget --ftp-password {} x",
    "sudo -u bob mysql -p{}",
    "nice -n 10 /usr/bin/mysqldump -p{} db | gzip",
    "flock -n /tmp/l mysql -p{}",
    "docker exec -i db mysqldump -p{} db",
    "sh -c 'mysql -p{} db'",
    'ssh host "PGPASSWORD={} pg_dump db" | gzip',
    "cd /x && mariadb-dump -p{} x",
    "mount -t cifs -o username=u,password={} //x /y",
    "docker login -u u -p {} registry",
    "redis-cli -a {} ping",
    "openssl enc -pass pass:{} -in x",
    "7z a -p{} x.7z",
    "zip -P {} x.zip y",
    "lftp -u user,{} host",
    "smbclient //x/y -U user%{}",
    "sqlplus scott/{}@orcl",
    "RESTIC_PASSWORD={} restic backup /",
    "BORG_PASSPHRASE={} borg create x",
    "gpg --batch --passphrase {} -c x",
    "tool --api-key {} run",
    "tool --client-secret={} run",
    "tool -password {} run",
    "java -Djavax.net.ssl.keyStorePassword={} -jar x",
    "ldapsearch -x -w {}",
]
SECRET = "q7Hx"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_secret_in_a_command_goes_and_the_command_can_still_be_read(command):
    text = command.format(SECRET)
    found = PLAIN.command(text)
    assert SECRET not in found
    assert "[redacted]" in found
    assert found.split()[0].partition("=")[0] == text.split()[0].partition("=")[0]
    assert SECRET.lower() not in job_name(text).lower()


@pytest.mark.parametrize(
    "command",
    [
        "mkdir -p /srv/a",
        "rsync -a --password-file=/etc/x a b",
        "docker run --user 1000:1000 -p 80:80 img",
        "ssh -p 2222 user@host",
        "rsync -e 'ssh -p 22' a b@host:c",
        "tar -xpf a.tar",
        "curl -u $USER:$PASS x",
        "mysql -p$PASS",
        "mysql -p db",
        "PGPASSWORD=$(cat /x) psql",
        "passwd -l bob",
        "psql -U bob -p 5432",
        "git push git@github.com:me/x.git",
        "cryptsetup luksOpen --key-file /x",
        "python -m token x.py",
        "borg create --keyword x ::a",
        "curl --max-time 5 http://localhost:80/",
        "OLDPWD=/x cd",
        "mailx -s 'key: value' bob@example.com",
        "find . -type f -user bob -perm 600",
        "ansible-playbook --ask-pass x.yml",
        "docker login --password-stdin reg",
        "certbot renew --key-type rsa",
    ],
)
def test_a_command_without_a_secret_stays_as_it_is(command):
    assert PLAIN.command(command) == command


def test_every_form_of_a_secret_in_a_command_is_hinted_at():
    assert all(hinted(command) for command in COMMANDS)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_command_can_be_redacted(text):
    assert isinstance(PLAIN.command(text), str)


@given(st.text("ab-p='\"\\:@=;$ \n/", max_size=60))
def test_any_quoting_can_be_redacted(text):
    PLAIN.command("mysql " + text)
    PLAIN.command("curl -u " + text)


@pytest.mark.parametrize(
    "piece", ["'", '"', "a=", "-p", "x-auth: ", "@", "\\", "'\"", "password=", "; ", "a:b@"]
)
def test_a_long_command_takes_time_in_proportion(piece):
    begun = time.process_time()
    PLAIN.command("mysql " + piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 5


# Octets of any kind -------------------------------------------------------------------------------


def corpus():
    return sorted(os.listdir(CORPUS))


@pytest.mark.parametrize("name", corpus())
def test_what_was_once_found_is_still_redacted(name):
    """Each file holds an output; what must not survive stands in its first line, after ``not:``."""
    with open(os.path.join(CORPUS, name), "rb") as file:
        first, content = file.read().split(b"\n", 1)
    secrets = first.removeprefix(b"not:").split()
    found = PLAIN.bytes(content)
    assert all(secret in content and secret not in found for secret in secrets)
    if not secrets:
        assert found == content


MARKS = [
    b"\x1b[",
    b"\x1b]8;;",
    b"\x1b",
    b"\x07",
    b"Authorization",
    b": ",
    b"b'",
    b'\\"',
    b"'",
    b"Basic ",
    b"\n",
]
BEGINNINGS = [
    b"\\n",
    BEGIN.encode(),
    END.encode(),
    LINE.encode(),
    b"://",
    b"@",
    b"ghp_",
    b"sk-",
    b"eyJ",
    b".eyJ",
]
PIECES = st.one_of(st.binary(max_size=12), st.sampled_from([*MARKS, *BEGINNINGS]))


@given(pieces=st.lists(PIECES, max_size=30), border=st.integers(0, 400), left_out=st.booleans())
@settings(deadline=None)
def test_any_output_can_be_redacted(pieces, border, left_out):
    content = b"".join(pieces)
    mark = Mark(offset=0, stream=STDOUT, elapsed=0.0)
    output = Output(head=content[:border], tail=content[border:], left_out_bytes=left_out, marks=(mark,))
    if not left_out:
        output = output.replace(head=content, tail=b"")
    found = PLAIN.redact_output(output)
    # What is redacted once is clean: nothing more is found in it.
    assert b"".join(found.kept.split(b"[redacted]")) in content or b"[redacted]" in found.kept
