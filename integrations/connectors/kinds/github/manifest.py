"""What a person fills in for GitHub."""

from __future__ import annotations

from integrations.connectors.common_fields import LINES, api_address
from integrations.connectors.manifest import Field, Inbound, Logo, Manifest, RateLimit

MANIFEST = Manifest(
    key="github",
    label="GitHub",
    family="code",
    description="Creates an issue for every event, and reads and lists issues.",
    needs=(
        "A token that may read and write issues",
        "The repository",
    ),
    logo=Logo(
        path="M5 5a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM5 19a2 2 0 1 0 4 0 2 2 0 0 0-4 0z"
        "M15 7a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM7 7v10m10-8c0 5-10 3-10 8",
        colour="#57606a",
    ),
    docs_url="https://docs.github.com/en/rest/issues/issues",
    fields=(
        Field(
            name="token",
            kind="secret",
            trim=True,
            required=True,
            help="A fine-grained personal access token, or an installation token, for one repository with the "
            "permission “Issues: read and write”, and nothing else.",
        ),
        Field(
            name="repository",
            required=True,
            pattern=r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}",
            hint="must be owner/name, such as octocat/hello-world",
            help="Where issues are created: owner/name.",
        ),
        Field(name="labels", kind="lines", help="Of every new issue, one per line."),
        Field(
            name="title",
            form="text",
            help="Of a new issue: {order.number}: {order.description}. Empty: what happened to what.",
            advanced=True,
        ),
        LINES,
        api_address(
            "https://api.github.com",
            "GitHub Enterprise: https://api.SUBDOMAIN.ghe.com, or https://HOST/api/v3 once the operator has "
            "allow-listed HOST:443.",
        ),
        Field(name="api_version", label="API version", default="2022-11-28", pattern=r"\d{4}-\d\d-\d\d", advanced=True),
        Field(
            name="webhook_secret",
            kind="secret",
            multiline=True,
            help="The secret of a webhook of the repository: Settings, Webhooks. One per line while it is changed. "
            "Empty: no webhook is accepted.",
            advanced=True,
        ),
    ),
    inbound=Inbound(scheme="github", id_header="X-GitHub-Delivery", event_header="X-GitHub-Event", sends_forms=True),
    allowed_hosts=("api.github.com", "*.ghe.com"),
    rate_limit=RateLimit(per_minute=80, note="requests that create content; 500 an hour"),
    does=("deliver", "check", "read"),
)
