"""Mail through Microsoft Graph for the whole installation (docs/graph-mail.md)."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.configuration.models import GraphConfiguration

from .connected import ConnectedIntegration


class GraphIntegration(ConnectedIntegration[GraphConfiguration]):
    """Mail from one mailbox of the organisation."""

    name = "microsoft_graph"

    def _get_config_model(self) -> type[GraphConfiguration]:
        return GraphConfiguration

    def send_mail(
        self,
        to: Sequence[str] | str,
        subject: str,
        *,
        text: str = "",
        html: str = "",
        sender: str = "",
        save: bool = False,
    ) -> None:
        """Send a mail; returns when Exchange Online has taken it.

        Args:
            sender: the mailbox; the configured one if empty.
            save: keep a copy in its Sent Items.
        """
        adapter = self.adapter()
        adapter.send_mail(sender or adapter.settings["sender"], to, subject, html=html, text=text, save=save)
