"""What a person fills in for Slack."""

from __future__ import annotations

from integrations.connectors.common_fields import LINES, api_address
from integrations.connectors.manifest import Field, Inbound, Logo, Manifest, RateLimit

MANIFEST = Manifest(
    key="slack",
    label="Slack",
    family="chat",
    description="Posts a message for every event, by an incoming webhook or a bot token.",
    needs=("The URL of an incoming webhook, or a bot token with the scope chat:write",),
    logo=Logo(path="M4 5h16v11H10l-4 4v-4H4zM10.5 7.5l-1 6m5-6-1 6M8.5 9.5h7m-7.5 2.5h7", colour="#6b2a75"),
    docs_url="https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    fields=(
        Field(
            name="url",
            label="Webhook URL",
            kind="url",
            help="https://hooks.slack.com/services/…, from your Slack app's “Incoming Webhooks”. Kept encrypted: "
            "whoever has it can post. Leave it empty to use a bot token.",
        ),
        Field(
            name="token",
            label="Bot token",
            kind="secret",
            trim=True,
            help="xoxb-…, from “OAuth & Permissions”. The only scope it needs is chat:write; invite the app to the "
            "channel. Not used with a webhook URL.",
        ),
        Field(name="channel", help="The channel's id, such as C0123456789. A webhook has its own channel."),
        Field(
            name="text",
            label="Notification",
            form="text",
            help="What notifications show: New order: {order.number}. Empty: what happened to what.",
            advanced=True,
        ),
        Field(
            name="heading",
            form="text",
            help="The first line, in Slack's mrkdwn: *{order.number}* - {order.description}. Empty: the object's name "
            "and description.",
            advanced=True,
        ),
        LINES.model_copy(update={"help": f"At most ten. {LINES.help}"}),
        api_address("https://slack.com/api", "Of the Web API, for bot tokens."),
        Field(
            name="signing_secret",
            kind="secret",
            trim=True,
            multiline=True,
            help="From “Basic Information”, “Signing Secret”, if the app sends us events. Empty: none is accepted.",
            advanced=True,
        ),
    ),
    inbound=Inbound(
        scheme="slack",
        secret_field="signing_secret",  # noqa: S106 - the name of a field
        id_path="event_id",
        event_path="event.type",
        sends_forms=True,  # commands and buttons
    ),
    allowed_hosts=("slack.com", "hooks.slack.com", "slack-gov.com", "hooks.slack-gov.com"),
    rate_limit=RateLimit(per_minute=60, note="one message a second for each channel"),
    secret_path=True,
    does=("deliver", "check"),
)
