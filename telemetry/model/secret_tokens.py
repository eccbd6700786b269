"""
Tokens that are known by their prefix, and whose they are.
"""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    """
    A secret that is known by its prefix.

    The last character of ``prefix``, which has a fixed width, is the anchor; ``ahead`` is what must
    follow it at once, cheap and bounded; ``body`` is the rest of the secret.
    """

    rule: str
    prefix: str
    body: str
    #: A letter or digit right before the prefix means that it is none.
    bounded: bool = True
    ahead: str = "[A-Za-z0-9_-][A-Za-z0-9_+/=-]{7}"


#: Two entries for one prefix would be a fault; a longer prefix is another one.
TOKENS = (
    Token("github", "gh[pousr]_", "[A-Za-z0-9]{16,}", bounded=False),
    Token("github", "github_pat_", "[A-Za-z0-9_]{16,}", bounded=False),
    Token("gitlab", "glpat-", "[A-Za-z0-9_.-]{16,}", bounded=False),
    Token("gitlab", "gl[drfcps][tobr]-", "[A-Za-z0-9_.-]{16,}"),
    Token("gitlab", "glrt-", "[A-Za-z0-9_.-]{16,}"),
    Token("slack", "xox[a-z]-", "[A-Za-z0-9-]{10,}", bounded=False),
    Token("slack", "xapp-", "[A-Za-z0-9-]{10,}"),
    Token("sk", "sk-", "[A-Za-z0-9_-]{16,}"),
    Token("sk", "[sp]k-lf-", "[A-Za-z0-9-]{16,}"),
    Token("stripe", "[srp]k_live_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "[srp]k_test_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "whsec_", "[A-Za-z0-9+/=]{16,}"),
    Token("groq", "gsk_", "[A-Za-z0-9]{20,}"),
    Token("xai", "xai-", "[A-Za-z0-9]{20,}"),
    Token("replicate", "r8_", "[A-Za-z0-9]{20,}"),
    Token("perplexity", "pplx-", "[A-Za-z0-9]{20,}"),
    Token("langsmith", "lsv2_", "[A-Za-z0-9_]{20,}"),
    Token("hugging-face", "hf_", "[A-Za-z0-9]{16,}"),
    Token("npm", "npm_", "[A-Za-z0-9]{16,}"),
    Token("pypi", "pypi-", "[A-Za-z0-9_-]{16,}"),
    Token("docker", "dckr_pat_", "[A-Za-z0-9_-]{16,}", bounded=False),
    Token("digitalocean", "do[opr]_v1_", "[A-Za-z0-9]{16,}"),
    Token("shopify", "shp[acps][atps]_", "[A-Za-z0-9]{16,}"),
    Token("grafana", "gl[cs]_", "[A-Za-z0-9+/=_]{16,}"),
    Token("grafana", "glsa_", "[A-Za-z0-9_]{16,}"),
    Token("linear", "lin_api_", "[A-Za-z0-9]{16,}"),
    Token("notion", "ntn_", "[A-Za-z0-9]{16,}"),
    Token("figma", "figd_", "[A-Za-z0-9_-]{16,}"),
    Token("rubygems", "rubygems_", "[A-Za-z0-9]{16,}"),
    Token("sentry", "sntr[yu][su]_", "[A-Za-z0-9+/=_-]{16,}"),
    Token("sentry", "sntry[su]_", "[A-Za-z0-9+/=_-]{16,}"),
    Token("postman", "PMAK-", "[A-Za-z0-9-]{16,}"),
    Token("pulumi", "pul-", "[A-Za-z0-9]{32,}"),
    Token("new-relic", "NRAK-", "[A-Za-z0-9]{16,}"),
    Token("age", "AGE-SECRET-KEY-", "[A-Z0-9]{16,}", bounded=False),
    Token("telemetry", "tlm_", "[A-Za-z0-9]{8,}_[A-Za-z0-9]{16,}", bounded=False),
    Token("sendgrid", "SG[.]", "[A-Za-z0-9_-]{16,}(?:[.][A-Za-z0-9_-]*)?"),
    Token("google-oauth", "ya29[.]", "[A-Za-z0-9_.-]{16,}"),
    Token("vault", "hv[sbr][.]", "[A-Za-z0-9_.-]{16,}"),
    Token("jwt", "eyJ", "[A-Za-z0-9_-]{8,}(?:[.][A-Za-z0-9_-]*){0,4}", bounded=False),
    Token("aws", "A", "(?:KIA|SIA|ROA|GPA|IDA|NPA|NVA|PKA|BIA|CCA)[A-Z0-9]{16,}", bounded=False,
          ahead="[KSRGINPBC][IOPDNVKC]A[A-Z0-9]{8}"),
    Token("google", "A", "Iza[A-Za-z0-9_-]{30,}", bounded=False, ahead="Iza[A-Za-z0-9_-]{8}"),
    Token("atlassian", "A", "TATT[A-Za-z0-9_=-]{20,}", ahead="TATT[A-Za-z0-9_=-]{8}"),
    Token("telegram", ":", "AA[A-Za-z0-9_-]{30,}", bounded=False, ahead="AA[A-Za-z0-9_-]{8}"),
    Token("webhook", "hooks[.]", "slack[.]com/[A-Za-z0-9/_-]{8,}", ahead="slack[.]com/"),
    Token("webhook", "discord[.]", "com/api/webhooks/[A-Za-z0-9/_-]{8,}", ahead="com/api/"),
)  # fmt: skip
