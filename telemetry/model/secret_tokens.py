"""
Tokens that are known by their prefix, and whose they are.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import NamedTuple

from telemetry.model.expressions import Expression

_ATOM = Expression(r"\[[^]]*\]|.")


@cache
def atoms_of(prefix: str) -> tuple[str, ...]:
    """
    Return the parts of a prefix that stand for one character each.
    """
    return tuple(_ATOM.findall(prefix))


def folded(prefix: str) -> str:
    """
    Return a prefix with its repeated atoms counted: most of the time to compile it goes into them.
    """
    runs = [(atom, len(list(run))) for atom, run in groupby(atoms_of(prefix))]
    return "".join(atom if count == 1 else f"{atom}{{{count}}}" for atom, count in runs)


class Token(NamedTuple):
    """
    A secret that is known by its prefix.

    The last character of ``prefix``, which has a fixed width, is the anchor; ``ahead`` is what must
    follow it at once, cheap and bounded; ``body`` is the rest of the secret.
    """

    rule: str
    prefix: str
    body: str
    #: Of a prefix of several characters, it begins with one character or class, not repeated.
    #: A letter or digit right before the prefix means that it is none.
    bounded: bool = True
    ahead: str = "[A-Za-z0-9_-][A-Za-z0-9_+/=-]{7}"


_HEX, _ALNUM, _WORD, _BASE64 = "[a-f0-9]", "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[A-Za-z0-9+/]"

#: Two entries for one prefix would be a fault; a longer prefix is another one.
TOKENS = (
    Token("github", "gh[pousr]_", "[A-Za-z0-9]{16,}", bounded=False),
    Token("github", "github_pat_", "[A-Za-z0-9_]{16,}", bounded=False),
    Token("gitlab", "glpat-", "[A-Za-z0-9_.-]{16,}", bounded=False),
    Token("gitlab", "gl[drfcps][tobr]-", "[A-Za-z0-9_.-]{16,}"),
    Token("gitlab", "glrt-", "[A-Za-z0-9_.-]{16,}"),
    Token("gitlab", "gl[pci][tbm]t-", "[A-Za-z0-9_.-]{16,}"),
    Token("gitlab", "glsoat-", "[A-Za-z0-9_-]{16,}"),
    Token("gitlab", "glffct-", "[A-Za-z0-9_-]{16,}"),
    Token("gitlab", "glagent-", "[A-Za-z0-9_-]{16,}"),
    Token("slack", "xox[a-z]-", "[A-Za-z0-9-]{10,}", bounded=False),
    Token("slack", "xapp-", "[A-Za-z0-9-]{10,}"),
    Token("sk", "sk-", "[A-Za-z0-9_-]{16,}"),
    Token("sk", "[sp]k-lf-", "[A-Za-z0-9-]{16,}"),
    Token("stripe", "[srp]k_live_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "[srp]k_test_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "sk_org_live_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "sk_org_test_", "[A-Za-z0-9_]{10,}"),
    Token("stripe", "whsec_", "[A-Za-z0-9+/=]{16,}"),
    Token("groq", "gsk_", "[A-Za-z0-9]{20,}"),
    Token("xai", "xai-", "[A-Za-z0-9]{20,}"),
    Token("cerebras", "csk-", "[A-Za-z0-9]{20,}"),
    Token("elevenlabs", "sk_", "[a-f0-9]{48}"),
    Token("fireworks", "fw_", "[A-Za-z0-9]{22,}"),
    Token("nvidia", "nvapi-", "[A-Za-z0-9_-]{20,}"),
    Token("pinecone", "pcsk_", "[A-Za-z0-9_]{20,}"),
    Token("tavily", "tvly-", "[A-Za-z0-9-]{20,}"),
    Token("firecrawl", "fc-", "[a-f0-9]{32}"),
    Token("together", "tgp_v1_", "[A-Za-z0-9_-]{20,}"),
    Token("wandb", "wandb_v1_", "[A-Za-z0-9_]{20,}"),
    Token("jina", "jina_", "[A-Za-z0-9_-]{40,}"),
    Token("e2b", "e2b_", "[a-f0-9]{32,}"),
    Token("runpod", "rpa_", "[A-Z0-9]{30,}"),
    Token("apify", "apify_api_", "[A-Za-z0-9]{20,}"),
    Token("anyscale", "esecret_", "[A-Za-z0-9]{16,}"),
    Token("replicate", "r8_", "[A-Za-z0-9]{20,}"),
    Token("perplexity", "pplx-", "[A-Za-z0-9]{20,}"),
    Token("langsmith", "lsv2_", "[A-Za-z0-9_]{20,}"),
    Token("hugging-face", "hf_", "[A-Za-z0-9]{16,}"),
    Token("npm", "npm_", "[A-Za-z0-9]{16,}"),
    Token("pypi", "pypi-", "[A-Za-z0-9_-]{16,}"),
    Token("docker", "dckr_pat_", "[A-Za-z0-9_-]{16,}", bounded=False),
    Token("digitalocean", "do[opr]_v1_", "[A-Za-z0-9]{16,}"),
    Token("supabase", "sbp_", "[a-f0-9]{32,}"),
    Token("supabase", "sb_secret_", "[A-Za-z0-9_-]{16,}"),
    Token("vercel", "vc[pikar]_", "[A-Za-z0-9]{20,}"),
    Token("vercel", "vercel_blob_rw_", "[A-Za-z0-9_]{20,}"),
    Token("netlify", "nf[pcoub]_", "[A-Za-z0-9]{30,}"),
    Token("fly", "f[mo][12]_", "[A-Za-z0-9+/=_-]{30,}"),
    Token("fly", "fm1[ar]_", "[A-Za-z0-9+/=_-]{30,}"),
    Token("render", "rnd_", "[A-Za-z0-9]{28,}"),
    Token("heroku", "HRKU-", "[A-Za-z0-9_-]{30,}"),
    Token("planetscale", "pscale_tkn_", "[A-Za-z0-9_.-]{30,}"),
    Token("planetscale", "pscale_pw_", "[A-Za-z0-9_.-]{30,}"),
    Token("planetscale", "pscale_oauth_", "[A-Za-z0-9_.-]{30,}"),
    Token("neon", "napi_", "[A-Za-z0-9]{40,}"),
    Token("prefect", "pn[ub]_", "[A-Za-z0-9]{30,}"),
    Token("buildkite", "bk[ua]a_", "[A-Za-z0-9]{30,}"),
    Token("circleci", "CCIPAT_", "[A-Za-z0-9_]{30,}"),
    Token("circleci", "CCIPRJ_", "[A-Za-z0-9_]{30,}"),
    Token("sonar", "sq[apu]_", "[a-f0-9]{32,}"),
    Token("typeform", "tfp_", "[A-Za-z0-9_-]{40,}"),
    Token("contentful", "CFPAT-", "[A-Za-z0-9_-]{30,}"),
    Token("readme", "rdme_", "[A-Za-z0-9]{40,}"),
    Token("resend", "re_", "[A-Za-z0-9]{6,10}_[A-Za-z0-9]{16,}", ahead="[A-Za-z0-9][A-Za-z0-9]{5}"),
    Token("brevo", "xkeysib-", "[a-f0-9]{32,}-[A-Za-z0-9]{8,}"),
    Token("brevo", "xsmtpsib-", "[a-f0-9]{32,}-[A-Za-z0-9]{8,}"),
    Token("mailchimp", f"{_HEX * 32}-", "us[0-9]{1,2}(?![A-Za-z0-9])", ahead="us[0-9]"),
    Token("square", "sq0[ac][ts]p-", "[A-Za-z0-9_-]{20,}"),
    Token("shippo", "shippo_live_", "[a-f0-9]{32,}"),
    Token("duffel", "duffel_live_", "[A-Za-z0-9_-]{30,}"),
    Token("tailscale", "tskey-", "[a-z]{3,12}-[A-Za-z0-9-]{16,}"),
    Token("launchdarkly", "sdk-", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}"),
    Token("plaid", "access-production-", "[0-9a-f-]{36}"),
    Token("plaid", "access-development-", "[0-9a-f-]{36}"),
    Token("plaid", "access-sandbox-", "[0-9a-f-]{36}"),
    Token("honeycomb", "hc[abl]ik_", "[A-Za-z0-9]{40,}"),
    Token("google-oauth", "GOCSPX-", "[A-Za-z0-9_-]{16,}"),
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
    Token("new-relic", "NR[AIR][AIK]-", "[A-Za-z0-9]{16,}"),
    Token("new-relic", f"{_HEX * 36}NRA", "L", ahead="L(?![A-Za-z0-9])"),
    Token("age", "AGE-SECRET-KEY-", "[A-Z0-9]{16,}", bounded=False),
    Token("telemetry", "tlm_", "[A-Za-z0-9]{8,}_[A-Za-z0-9]{16,}", bounded=False),
    Token("sendgrid", "SG[.]", "[A-Za-z0-9_-]{16,}(?:[.][A-Za-z0-9_-]*)?"),
    Token("google-oauth", "ya29[.]", "[A-Za-z0-9_.-]{16,}"),
    Token("vault", "hv[sbr][.]", "[A-Za-z0-9_.-]{16,}"),
    Token("airtable", f"pat{_ALNUM * 14}[.]", "[a-f0-9]{64}"),
    Token("doppler", "dp[.][a-z][a-z][.]", "[a-z0-9_.-]{0,36}[A-Za-z0-9]{40,}",
          ahead="[A-Za-z0-9_.-][A-Za-z0-9_.-]{7}"),
    Token("dynatrace", "dt0[a-z]01[.]", "[A-Z0-9]{24}[.][A-Z0-9]{32,}"),
    Token("mailersend", "mlsn[.]", "[a-f0-9]{40,}"),
    Token("snyk", "snyk_[a-z][a-z][a-z][.]", "[a-f0-9]{8}[.][A-Za-z0-9_.-]{20,}"),
    Token("terraform", f"{_ALNUM * 14}[.]atlasv1[.]", "[A-Za-z0-9_=-]{40,}"),
    *(Token("discord", f"[MNO]{_WORD * count}[.]", "[A-Za-z0-9_-]{6}[.][A-Za-z0-9_-]{27,}",
            ahead="[A-Za-z0-9_-][A-Za-z0-9_-]{5}[.]") for count in (23, 24, 25)),
    Token("azure", f"{_ALNUM}{_WORD}{_WORD}[0-9]Q~", "[A-Za-z0-9_.~-]{31,34}"),
    Token("azure", f"{_ALNUM * 52}JQQJ", "9[A-Za-z0-9]{27}", ahead="9[A-Za-z0-9]{8}"),
    Token("azure", f"{_BASE64 * 76}[+]A", "St[A-Za-z0-9+/]{5}[AQgw]==", bounded=False,
          ahead="St[A-Za-z0-9+/]{5}[AQgw]=="),
    Token("braintree", "access_token[$]production[$]", "[a-z0-9]{16}[$][a-f0-9]{32}"),
    Token("1password", "ops_eyJ", "[A-Za-z0-9+/=_-]{100,}"),
    Token("jwt", "eyJ", "[A-Za-z0-9_-]{8,}(?:[.][A-Za-z0-9_-]*){0,4}", bounded=False),
    Token("aws", "A", "(?:KIA|SIA|ROA|GPA|IDA|NPA|NVA|PKA|BIA|CCA)[A-Z0-9]{16,}", bounded=False,
          ahead="[KSRGINPBC][IOPDNVKC]A[A-Z0-9]{8}"),
    Token("aws", "bedrock-api-key-", "[A-Za-z0-9+/=]{40,}"),
    Token("aws", "A", "BSK[A-Za-z0-9+/]{40,}={0,2}", ahead="BSK[A-Za-z0-9+/]{8}"),
    Token("alibaba", "LTA", "I[A-Za-z0-9]{12,}", ahead="I[A-Za-z0-9]{12}"),
    Token("tencent", "A", "KID[A-Za-z0-9]{32}", ahead="KID[A-Za-z0-9]{16}"),
    Token("yandex", "A", "QVN[A-Za-z0-9_-]{32,}", ahead="QVN[A-Za-z0-9_-]{16}"),
    Token("artifactory", "A", "KCp[A-Za-z0-9]{60,}", ahead="KCp[A-Za-z0-9]{16}"),
    Token("easypost", "E[ZT]A", "K[A-Za-z0-9]{50,}", ahead="K[A-Za-z0-9]{16}"),
    Token("meta", "EAA", "[A-Za-z0-9]{80,}", ahead="[A-Za-z0-9][A-Za-z0-9]{15}"),
    Token("google", "A", "Iza[A-Za-z0-9_-]{30,}", bounded=False, ahead="Iza[A-Za-z0-9_-]{8}"),
    Token("atlassian", "A", "TATT[A-Za-z0-9_=-]{20,}", ahead="TATT[A-Za-z0-9_=-]{8}"),
    Token("telegram", ":", "AA[A-Za-z0-9_-]{30,}", bounded=False, ahead="AA[A-Za-z0-9_-]{8}"),
    Token("webhook", "hooks[.]", "slack[.]com/[A-Za-z0-9/_-]{8,}", ahead="slack[.]com/"),
    Token("webhook", "hooks[.]zapier[.]", "com/hooks/catch/[A-Za-z0-9/_-]{8,}", ahead="com/hooks"),
    Token("webhook", "discord[.]", "com/api/webhooks/[A-Za-z0-9/_-]{8,}", ahead="com/api/"),
    Token("webhook", "discordapp[.]", "com/api/webhooks/[A-Za-z0-9/_-]{8,}", ahead="com/api/"),
    Token("webhook", "webhook[.]office[.]", "com/webhookb2/[A-Za-z0-9@/_-]{20,}",
          ahead="com/webhookb2/"),
)  # fmt: skip
