"""What a person fills in for Salesforce."""

from __future__ import annotations

from integrations.connectors.manifest import Field, Logo, Manifest, OAuth, RateLimit

_TOKEN_URL = "{base_url}/services/oauth2/token"  # noqa: S105 - an address
# Scopes are asked for only where a person agrees to them; the other two have those of the connected app.
GRANTS = {
    "client_credentials": OAuth(grant="client_credentials", token_url=_TOKEN_URL),
    "jwt_bearer": OAuth(grant="jwt_bearer", token_url=_TOKEN_URL, audience="{audience}", lifetime=180),
    "authorization_code": OAuth(
        grant="authorization_code",
        token_url=_TOKEN_URL,
        authorize_url="{base_url}/services/oauth2/authorize",
        scopes=("api", "refresh_token"),
    ),
}
NEEDED = {  # beside the consumer key
    "client_credentials": ("client_secret",),
    "jwt_bearer": ("subject", "private_key"),
    "authorization_code": (),
}

MANIFEST = Manifest(
    key="salesforce",
    label="Salesforce",
    family="crm",
    description="Upserts a record for every event, and queries and creates records.",
    needs=(
        "A connected app with its client ID, and a secret or private key",
        "An object with an external ID field",
    ),
    logo=Logo(path="M7 18h10a4 4 0 0 0 .5-8A5.5 5.5 0 0 0 7 9.5 4.25 4.25 0 0 0 7 18z", colour="#0b67b2"),
    docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/",
    fields=(
        Field(
            name="base_url",
            label="My Domain address",
            kind="url",
            required=True,
            pattern=r"https?://[^/?#]+/?",
            hint="must be an address without a path, such as https://acme.my.salesforce.com",
            help="https://acme.my.salesforce.com, from Setup, “My Domain”.",
        ),
        Field(
            name="grant",
            label="Sign-in",
            kind="choice",
            choices=tuple(GRANTS),
            default="client_credentials",
            help="client_credentials: the app's own run-as user. jwt_bearer: a certificate, for one user. "
            "authorization_code: a person agrees once, and we keep the refresh token.",
        ),
        Field(name="client_id", label="Consumer key", required=True, help="Of the connected app."),
        Field(
            name="client_secret", label="Consumer secret", kind="secret", trim=True, help="Not needed with jwt_bearer."
        ),
        Field(name="subject", label="User name", help="jwt_bearer only: the user the app acts for."),
        Field(
            name="private_key",
            kind="secret",
            trim=True,
            multiline=True,
            help="jwt_bearer only: the PEM key whose certificate was uploaded to the connected app.",
        ),
        Field(
            name="refresh_token",
            kind="secret",
            trim=True,
            help="authorization_code only, and only if you have one already; else connect.",
            advanced=True,
        ),
        Field(
            name="audience",
            kind="choice",
            choices=("https://login.salesforce.com", "https://test.salesforce.com"),
            default="https://login.salesforce.com",
            help="jwt_bearer only: test.salesforce.com for a sandbox.",
            advanced=True,
        ),
        Field(name="sobject", label="Object", help="Into which events go: Case, or Order__c."),
        Field(
            name="external_id_field",
            help="A field of that object that is marked “External ID” and “Unique”: Outbox_Id__c. By it a record is "
            "found again, so that nothing is created twice.",
        ),
        Field(
            name="external_id_path",
            form="expression",
            help="Where its value is in the payload: order.id gives one record for each order. Empty: the event's own "
            "key, one record for each event.",
            advanced=True,
        ),
        Field(
            name="mapping",
            kind="lines",
            form="mapping",
            help="One field a line: Subject: order.number. After “=” stands a constant: Origin: =Web shop.",
        ),
        Field(
            name="api_version",
            label="API version",
            default="62.0",
            pattern=r"[1-9]\d{1,2}\.0",
            hint="such as 62.0",
            advanced=True,
        ),
    ),
    oauth=GRANTS["authorization_code"],  # the one that needs a person; `grant` decides
    allowed_hosts=("*.my.salesforce.com", "*.my.salesforce.mil"),
    rate_limit=RateLimit(per_minute=600, note="25 long requests at once; the daily limit depends on the edition"),
    does=("deliver", "check", "read"),
)
