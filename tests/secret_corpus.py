"""
Secrets in many shapes, and what only looks like one.

All are made when the tests run, from parts and a fixed seed, so that no file holds a text that a
scanner would take for a real secret.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator
from functools import partial
from typing import Callable, NamedTuple

#: Makes a word of that many letters and digits, of 24 unless told otherwise.
Word = Callable[..., str]
#: Texts, each with its secret.
Pairs = Iterator[tuple[str, str]]

_ALNUM = string.ascii_letters + string.digits
_WORD = _ALNUM + "_-"
_HEX = "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits


class Secret(NamedTuple):
    """
    A text, and the part of it that nobody may read.
    """

    text: str
    secret: str


def _token(draw: random.Random, *parts: tuple[str, int] | str) -> str:
    return "".join(
        part if isinstance(part, str) else "".join(draw.choices(part[0], k=part[1] - 2)) + "A7"
        for part in parts
    )


_TOKENS: list[tuple[tuple[str, int] | str, ...]] = [
    ("AK" + "IA", (_UPPER, 16)),
    ("AS" + "IA", (_UPPER, 16)),
    ("AI" + "za", (_WORD, 35)),
    ("s" + "k-", (_ALNUM, 48)),
    ("s" + "k-proj-", (_WORD, 64)),
    ("s" + "k-ant-api03-", (_WORD, 80)),
    ("s" + "k-or-v1-", (_HEX, 64)),
    ("gh" + "p_", (_ALNUM, 36)),
    ("gh" + "o_", (_ALNUM, 36)),
    ("gh" + "s_", (_ALNUM, 36)),
    ("gh" + "u_", (_ALNUM, 36)),
    ("gh" + "r_", (_ALNUM, 36)),
    ("github" + "_pat_", (_ALNUM, 22), "_", (_ALNUM, 59)),
    ("gl" + "pat-", (_WORD, 20)),
    ("gl" + "dt-", (_WORD, 20)),
    ("xo" + "xb-", ("0123456789", 12), "-", (_ALNUM, 24)),
    ("xo" + "xp-", ("0123456789", 12), "-", (_ALNUM, 32)),
    ("xa" + "pp-1-", (_UPPER, 11), "-", (_HEX, 40)),
    ("ey" + "J", (_WORD, 30), ".eyJ", (_WORD, 60), ".", (_WORD, 43)),
    ("ey" + "J", (_WORD, 300), ".", (_WORD, 200), ".", (_WORD, 43)),
    ("h" + "f_", (_ALNUM, 34)),
    ("np" + "m_", (_ALNUM, 36)),
    ("py" + "pi-", (_WORD, 100)),
    ("s" + "k_live_", (_ALNUM, 24)),
    ("r" + "k_live_", (_ALNUM, 24)),
    ("s" + "k_test_", (_ALNUM, 24)),
    ("wh" + "sec_", (_ALNUM, 32)),
    ("S" + "G.", (_WORD, 22), ".", (_WORD, 43)),
    ("ya" + "29.", (_WORD, 60)),
    ("hv" + "s.", (_WORD, 24)),
    ("gs" + "k_", (_ALNUM, 52)),
    ("xa" + "i-", (_ALNUM, 80)),
    ("r" + "8_", (_ALNUM, 37)),
    ("pp" + "lx-", (_ALNUM, 48)),
    ("ls" + "v2_pt_", (_HEX, 32), "_", (_HEX, 10)),
    ("dc" + "kr_pat_", (_WORD, 27)),
    ("do" + "p_v1_", (_HEX, 64)),
    ("sh" + "pat_", (_HEX, 32)),
    ("gl" + "sa_", (_ALNUM, 32), "_", (_HEX, 8)),
    ("gl" + "c_", (_ALNUM, 60)),
    ("li" + "n_api_", (_ALNUM, 40)),
    ("nt" + "n_", (_ALNUM, 46)),
    ("fi" + "gd_", (_WORD, 40)),
    ("ruby" + "gems_", (_HEX, 48)),
    ("sn" + "trys_", (_ALNUM, 60)),
    ("PM" + "AK-", (_HEX, 24), "-", (_HEX, 34)),
    ("pu" + "l-", (_HEX, 40)),
    ("NR" + "AK-", (_UPPER, 27)),
    ("tl" + "m_", (_HEX, 12), "_", (_HEX, 64)),
    ("AGE-SEC" + "RET-KEY-1", (_UPPER, 58)),
    ("AT" + "ATT3x", (_WORD, 60)),
    ("123456789:A" + "A", (_WORD, 33)),
    ("GOC" + "SPX-", (_WORD, 28)),
    ("AB" + "SK", (_ALNUM, 100)),
    ("bedrock-api-" + "key-", (_ALNUM, 60)),
    ("LT" + "AI5t", (_ALNUM, 18)),
    ("AK" + "ID", (_ALNUM, 32)),
    ("AQ" + "VN", (_WORD, 36)),
    ("AK" + "Cp8", (_ALNUM, 69)),
    ("EZ" + "AK", (_ALNUM, 54)),
    ("EA" + "AG", (_ALNUM, 120)),
    ("gl" + "cbt-64_", (_WORD, 20)),
    ("gl" + "ffct-", (_WORD, 20)),
    ("gl" + "agent-", (_WORD, 50)),
    ("gl" + "soat-", (_WORD, 20)),
    ("gl" + "ptt-", (_HEX, 40)),
    ("sb" + "_secret_", (_WORD, 31)),
    ("sb" + "p_", (_HEX, 40), ("0123456789", 3)),
    ("vc" + "p_", (_ALNUM, 56)),
    ("vercel" + "_blob_rw_", (_ALNUM, 16), "_", (_ALNUM, 30)),
    ("nf" + "p_", (_ALNUM, 36)),
    ("fo" + "1_", (_WORD, 43)),
    ("fm" + "2_", (_ALNUM, 100)),
    ("rn" + "d_", (_ALNUM, 32)),
    ("HR" + "KU-", (_WORD, 60)),
    ("pscale" + "_tkn_", (_WORD, 43)),
    ("pscale" + "_pw_", (_WORD, 43)),
    ("dp" + ".pt.", (_ALNUM, 43)),
    ("dp" + ".st.prd.", (_ALNUM, 43)),
    ("ops" + "_eyJ", (_ALNUM, 250)),
    (("X" * 14, 14), ".atlas" + "v1.", (_WORD, 67)),
    ("sq0" + "atp-", (_WORD, 22)),
    ("sq0" + "csp-", (_WORD, 43)),
    ("re" + "_", (_ALNUM, 8), "_", (_ALNUM, 24)),
    ("NR" + "II-", (_ALNUM, 32)),
    ("dt0" + "c01.", (_UPPER, 24), ".", (_UPPER, 64)),
    ("hca" + "ik_01", (_ALNUM, 58)),
    ("wandb" + "_v1_", (_ALNUM, 60)),
    ("pc" + "sk_", (_ALNUM, 60)),
    ("tv" + "ly-dev-", (_ALNUM, 32)),
    ("tg" + "p_v1_", (_WORD, 43)),
    ("fw" + "_", (_ALNUM, 24)),
    ("cs" + "k-", (_ALNUM, 48)),
    ("nv" + "api-", (_WORD, 64)),
    ("apify" + "_api_", (_ALNUM, 36)),
    ("jin" + "a_", (_ALNUM, 60)),
    ("rp" + "a_", (_UPPER, 40)),
    ("nap" + "i_", (_ALNUM, 64)),
    ("pn" + "u_", (_ALNUM, 36)),
    ("tf" + "p_", (_WORD, 44)),
    ("CF" + "PAT-", (_WORD, 43)),
    ("rd" + "me_", (_ALNUM, 70)),
    ("CC" + "IPAT_", (_ALNUM, 22), "_", (_ALNUM, 40)),
    ("ts" + "key-auth-", (_ALNUM, 12), "-", (_ALNUM, 32)),
    ("duffel" + "_live_", (_WORD, 43)),
    ("s" + "k_org_live_", (_ALNUM, 40)),
    ("M" + "TA4NzY1NDMyMTAxMjM0NTY3OA.", (_ALNUM, 6), ".", (_WORD, 38)),
    (("b" * 3, 3), "8Q" + "~", (_ALNUM, 34)),
    ((_ALNUM, 52), "JQQ" + "J9", (_ALNUM, 27)),
]


def tokens() -> list[str]:
    """
    Return tokens that are known by their own shape, three of each kind.
    """
    draw = random.Random(20261122)
    return [_token(draw, *shape) for shape in _TOKENS for _ in range(3)]


NAMES = (
    "pw", "GITHUB_PAT", "subscription-key", "client-key-data", "app_key", "passwort",
    "password", "PASSWORD", "Password", "passwd", "pwd", "db_password", "dbPassword", "DB-PASSWORD", "PGPASSWORD",
    "user.password", "api_key", "apiKey", "apikey", "API_KEY", "X-Api-Key", "OPENAI_API_KEY", "secret", "client_secret",
    "clientSecret", "AWS_SECRET_ACCESS_KEY", "aws_session_token", "access_token", "accessToken", "refresh_token",
    "id_token", "GITHUB_TOKEN", "auth_token", "private_key", "AccountKey", "SharedAccessKey", "passphrase", "credentials",
    "csrf_token", "X-CSRF-Token", "encryption_key", "signing_key", "master_key", "session_key", "smtp_pass", "jwt",
)  # fmt: skip
TEMPLATES = (
    "{name}={secret}",
    "{name}: {secret}",
    "{name} = '{secret}'",
    '{{"{name}": "{secret}", "n": 1}}',
    '{{\\"{name}\\": \\"{secret}\\"}}',
    "connect(host='db', {name}='{secret}', port=1)",
    "https://example.org/path?page=2&{name}={secret}&lang=de",
    'error: bad {name}="{secret}" in line 3\nnext line',
    "config['{name}'] = \"{secret}\"",
    "Server=db;{name}={secret};Encrypt=yes",
    "run --{name} {secret} --verbose",
    "run --{name}={secret} --verbose",
    "{name} => '{secret}'",
    "x: <{name}>{secret}</{name}>",
    '<x:add name="{name}" value="{secret}" />',
    '{{"name": "{name}", "value": "{secret}"}}',
    "- name: {name}\n  value: {secret}\n",
    "headers=[('{name}', '{secret}')]",
    "headers=[(b'{name}', b'{secret}')]",
    '{{"{name}":\n    "{secret}"}}',
    '{{\\\\\\"{name}\\\\\\": \\\\\\"{secret}\\\\\\"}}',
    "{name}: |\n  {secret}\n  {secret}\nb: 1",
    "Command '['run', '--{name}', '{secret}', 'x']' returned non-zero exit status 1.",
    "to=https%3A%2F%2Fx%2F%3F{name}%3D{secret}%26b",
    "Server=db;{name}={{{secret}}};Encrypt=yes",
)  # fmt: skip


def assigned() -> list[Secret]:
    """
    Return each name with each way to give it a value; the values have no shape of their own.
    """
    draw = random.Random(7)
    return [
        Secret(template.format(name=name, secret=value), value)
        for name in NAMES
        for template in TEMPLATES
        if not ("--" in template and "." in name)
        for value in [
            "hunter" + "".join(draw.choices(_ALNUM + "!%^*+/~", k=draw.randint(6, 40))) + "9"
        ]
    ]


def located() -> list[Secret]:
    """
    Return secrets that are known by where they stand.
    """
    draw = random.Random(11)
    return [
        Secret(text, value)
        for stand in (_in_urls, _in_headers, _in_key_blocks, _in_signed_links)
        for text, value in stand(partial(_word, draw))
    ]


def _word(draw: random.Random, count: int = 24) -> str:
    return "".join(draw.choices(_ALNUM, k=count)) + "5Z"


def _in_urls(word: Word) -> Pairs:
    schemes = "postgres postgresql+psycopg mysql redis mongodb+srv https amqp ftp ssh"
    for scheme in schemes.split():
        for user in ("admin", "a.b", "x%40y"):
            value = word()
            yield f"cannot connect to {scheme}://{user}:{value}@host.example:5432/db", value
    for text, count in (
        ("redis://:{}@localhost:6379/0", 24),
        ("postgres://u:p@{}@host/db", 6),
        ("postgres://u:p/{}@host/db", 6),
        ("git clone https://{}@git.example/x/y.git", 38),
    ):
        value = word(count)
        yield text.format(value), value


def _in_headers(word: Word) -> Pairs:
    for lead in (
        "Authorization: Bearer ",
        "authorization: bearer ",
        "-H 'Authorization: Bearer ",
        "BEARER ",
        "sent Bearer ",
    ):
        value = word(30)
        yield f"{lead}{value}", value
    for lead in ("Authorization: Basic ", "got Basic ", "proxy-authorization: basic "):
        value = base64.b64encode(f"user:{word(12)}".encode()).decode()
        yield f"{lead}{value}", value
    for lead in (
        "Authorization: Token ",
        "Authorization: Digest x=",
        "Cookie: sid=",
        "Set-Cookie: a=b; sid=",
    ):
        value = word(30)
        yield f"{lead}{value}; Path=/", value


def _in_key_blocks(word: Word) -> Pairs:
    for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "PGP "):
        value = word(64)
        block = " BLOCK" if kind == "PGP " else ""
        lines = "\n".join((word(62), value, word(20)))
        begin, end = (
            f"-----{side} {kind}PRIV" + f"ATE KEY{block}-----" for side in ("BEGIN", "END")
        )
        yield f"key:\n{begin}\n{lines}\n{end}\nafter", value
        yield f"{begin}\\n{lines}", value


def _in_signed_links(word: Word) -> Pairs:
    value = f"{word(9)}/{word(9)}/{word(22)}"
    yield "https://hooks.sl" + f"ack.com/services/{value}", value
    value = f"123456789/{word(60)}"
    yield "https://disc" + f"ord.com/api/webhooks/{value}", value
    value = word(40)
    yield f"https://x.blob.example/c?sv=2022&sig={value}", value
    value = word(60)
    yield f"https://s3.example/o?X-Amz-Signature={value}&x=1", value


def cut_and_typed() -> list[Secret]:
    """
    Return secrets in blocks that are cut, on command lines and in other notations.
    """
    word = partial(_word, random.Random(13))
    found = []
    for kind in ("PRIV" + "ATE KEY", "OpenVPN Static key V1", "RSA PRIV" + "ATE KEY"):
        value = word(62)
        found.append(Secret(f"…{value}\n{word(30)}\n-----END {kind}-----\nafter", value))
    value = word(64)
    found.append(
        Secret("---- BEGIN SSH2 ENCRYPTED PRIV" + f"ATE KEY ----\n{value}\n---- END", value)
    )
    value = word(64)
    found.append(Secret(f"Private-Lines: 2\n{value}\n{word(9)}\nPrivate-MAC: 00", value))
    for line in (
        "curl -u ada:{}", "curl --user 'ada:{}' https://x", "mysql -uroot -p{} db", "sshpass -p {} ssh h",
        "docker login -u x -p {}", "java -Dx -storepass {} -v", "openssl rsa -passin pass:{} -in x",
        "Command '['mysqldump', '-uroot', '-p{}', 'db']' returned", '["curl", "-u", "ada:{}", "https://x"]',
        "jdbc:oracle:thin:scott/{}@//h:1521/x", "u=https%3A%2F%2Fada%3A{}%40x.org%2F",
    ):  # fmt: skip
        value = word(12)
        found.append(Secret(line.format(value), value))
    for host in (
        "discord" + "app.com/api/webhooks/1/",
        "hooks.zap" + "ier.com/hooks/catch/1/",
        "x.webhook.off" + "ice.com/webhookb2/",
    ):
        value = word(60)
        found.append(Secret(f"https://{host}{value}", value))
    return found


def contexts(token: str) -> list[str]:
    """
    Return texts in which a token may stand.
    """
    return [
        token,
        f"using {token} now",
        f"'{token}'",
        f"line\n{token}\nline",
        f"repr \\n{token}\\n",
        f"({token})",
        f"key={token}&x=1",
        f"<{token}>",
        f"File \"a.py\", line 3, in f\n    call('{token}')\nValueError: {token}",
    ]


def all_secrets() -> list[Secret]:
    """
    Return every secret once.
    """
    return [
        *(Secret(token, token) for token in tokens()),
        *assigned(),
        *located(),
        *cut_and_typed(),
    ]


#: Keys that are no names of secrets.
PLAIN_KEYS = (
    "author", "authors", "tokens_used", "token_count", "tokens", "max_tokens", "prompt_tokens", "total_tokens",
    "token_limit", "token_type", "tokenizer", "session_count", "session_id", "keyboard", "monkey", "passenger",
    "authorization_status", "authority", "authenticated", "key", "keys", "primary_key", "cache_key", "public_key",
    "secretary", "password_length", "password_changed_at", "has_password", "is_secret", "bypass", "compass", "pass",
    "passed", "first_pass", "hotkey", "sort_key", "input", "step", "cookie_count", "cost_per_token", "eos_token",
    "status_code", "exit_code", "error_code", "phrase", "pat", "client_id", "app_name", "ssl_mode", "value", "name",
    "turkey", "signature", "secret_name", "api_key_name", "", "1", "ключ",
)  # fmt: skip
#: Texts that hold no secret.
PLAIN_TEXTS = (
    "data.csv", "the quick brown fox", "step=3 of 10", "author: Jane Doe", "tokens_used=1234 token_count: 12",
    "session_count=4", "keyboard: qwertz", "monkey=1", "passenger: 3", "authorization_status: granted",
    "9fceb02d0ae598e95dc970b74767f19372d61af8", "0193a5f0-7b1c-7000-8000-0123456789ab",
    "https://example.org/a/b?page=2&sort=name#top", "https://example.org:8080/img@2x.png", "git@github.com:org/repo.git",
    "ssh://git@github.com/org/repo.git", "jane.doe@example.org", "sha256:" + "0123456789abcdef" * 4,
    "/home/user/project/risk-assessment-for-customers/task-list_2026.csv", "sk-learn-style-names-are-kebab-case",
    "Basic functionality works", "bearer of good news", "Invalid token: '}' at line 3", "def f(user: str, password: str)",
    "Unexpected token: ','", "2026-11-22T00:42:17.123456Z INFO module.function: done in 3.2 s", "a == b", "x: int = 3",
    "docker run -p 8080:80 image", "password=None", "C:\\Users\\me\\file.txt", "dGhpcyBpcyBhIGZpbGUgbmFtZQ.bin",
    "IMG_20261122_004217-ABCDEF0123456789.jpg", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "AAAAAAAAAAAAAAAAAAAAAAAA", "eyJ is how base64 of JSON begins", "--verbose yes --count 3", "http://[::1]:8080/x",
    "1 + 1 = 2; ratio: 3:1", "toolu_01A09q90qw90lq917835lq9",
    "call_Zx8Kd93LsPq0Vb72MnTy51Rw", "chatcmpl-9Zx8Kd93LsPq0Vb72MnTy51Rw", "msg_01XFDUDYJgAACzvnptvVoYEL",
    "cus_NffrFeUfNV2Hib", "user_2abCdEf0GhIjKlMnOp", "checkpoint_" + "0123456789abcdef" * 4,
    "docker run -u 1000:1000 -p 8080:80 x", "cp -p a b", "sort -u a b", "kill -u ada", "-p", "-u",
    "<tokens>12</tokens>", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "<tr><td>key</td></tr>",
    "<keyboard>qwertz</keyboard>", "a%3Db%26c%3Dd", "https%3A%2F%2Fx.org%2Fa", "('name', 'value')",
    "fields: ['password', 'email', 'name']", "-----END CERTIFICATE-----", "passengers: >\n  Ada",
    '{"name": "loss", "value": 0.5}', "name: password", "mysql --port 3306 -h db", "<password></password>",
    "ModuleNotFound.method.test_it", "press any key: ", "--token", "sk-", "AKIA", "://", "Bearer ", "",
)  # fmt: skip
