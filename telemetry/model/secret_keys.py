"""
Which names are the names of secrets.

A key is split into its words (`apiKey`, `API-KEY` and `api.key` are the same two) and judged by
them. A strong noun (`password`, `secret`, `api key`) makes a secret wherever it stands, unless only
words that describe it follow (`password_length`). A weak noun (`token`, `cookie`, `auth`) also has
plain uses, so that it must stand last (`access_token`, but not `token_count`).
"""

from __future__ import annotations

from telemetry.model.expressions import Expression

#: A key longer than this is judged by its end, where the noun stands.
MAX_KEY_CHARS = 128

_WORDS = Expression(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_STRONG = frozenset(
    "password passwords passwd pwd pw pswd passwort kennwort passphrase passcode secret secrets "
    "apikey apikeys credential credentials".split()
)
_WEAK = frozenset(
    "token jwt bearer authorization auth authn cookie cookies csrf xsrf otp totp cvv cvc ssn "
    "phpsessid jsessionid sessionid sessid".split()
)
_STRONG_ENDINGS = ("password", "passwd", "passphrase", "secret", "apikey", "token", "credentials")
_KEY_KINDS = frozenset(
    "api access secret private encryption encrypt decryption signing master auth account ssh gpg "
    "pgp rsa aes hmac deploy storage license shared session admin service webhook cipher "
    "subscription client app application ssl tls".split()
)
_KEY_KINDS_JOINED = tuple(sorted(_KEY_KINDS))
_PASS_OWNERS = frozenset(
    "db database user root admin smtp mysql postgres pg redis mongo ssh ftp sftp mail email imap "
    "proxy http https basic login git ldap rabbitmq amqp keystore truststore store key".split()
)
#: Two words that are a secret together.
_PAIRS = frozenset(
    (owner, noun)
    for nouns, owners in (
        ("phrase phrases", "seed recovery mnemonic pass secret"),
        ("code codes", "recovery backup verification mfa otp auth authorization"),
    )
    for noun in nouns.split()
    for owner in owners.split()
)
#: A personal access token, where something says whose: `GITHUB_PAT`, but not `pat`.
_TOKEN_ABBREVIATION = "pat"  # noqa: S105 (a word)
#: Words after a strong noun that make it a description of a secret, not the secret.
_DESCRIPTIONS = frozenset(
    "count counts used usage total limit max min length len size type types status state enabled "
    "disabled required optional expiry expires expired expiration at in on time date ttl age name "
    "names path file field fields policy method mode provider valid invalid version changed "
    "updated created rotated rotation strength score hint manager store prompt reset attempts "
    "error errors missing present set exists found source scheme ref arn sent".split()
)
#: Words before a noun that make it a question or a measure.
_QUESTIONS = frozenset("is has needs requires num number count max min".split())
#: Words before a weak noun that give it its plain meaning, as in `cost_per_token` or `eos_token`.
_PLAIN_KINDS = frozenset("per each eos bos pad unk mask sep cls stop special".split())
_TRAILERS = frozenset(
    "value string raw header text base64 b64 hash hashed encrypted plain old new current".split()
)
_EXACT = frozenset(["session"])


def words_of(key: str) -> list[str]:
    """
    Return the words of a key in lower case, whatever separates them.
    """
    return [word.lower() for word in _WORDS.findall(key[-MAX_KEY_CHARS:])]


def normalise(key: str) -> str:
    """
    Return a key without case and separators, the form in which two spellings are compared.
    """
    return "".join(character for character in key if character.isalnum()).lower()


def names_a_secret(key: str) -> bool:
    """
    Judge a key by its words.
    """
    words = [word for word in words_of(key) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _TRAILERS:
        words.pop()
    if not words or words[0] in _QUESTIONS:
        return False
    if len(words) == 1 and words[0] in _EXACT:
        return True
    last = len(words) - 1
    for index in range(len(words)):
        if _is_strong(words, index) and not (
            index < last and _DESCRIPTIONS.issuperset(words[index + 1 :])
        ):
            return True
    if last and words[last] == _TOKEN_ABBREVIATION:
        return True
    return words[last] in _WEAK and not (last and words[last - 1] in _PLAIN_KINDS)


def _is_strong(words: list[str], index: int) -> bool:
    """
    Tell whether the word here, with the one before it, is a noun that always means a secret.
    """
    word = words[index]
    if word in _STRONG or (len(word) > len("token") and word.endswith(_STRONG_ENDINGS)):
        return True
    if word in {"key", "keys"}:
        return index > 0 and words[index - 1] in _KEY_KINDS
    if word.endswith("key"):
        return word[:-3].endswith(_KEY_KINDS_JOINED)
    if index and (words[index - 1], word) in _PAIRS:
        return True
    if word == "pass":
        return index > 0 and words[index - 1] in _PASS_OWNERS
    return word.endswith("pass") and word[:-4] in _PASS_OWNERS
