"""The receiver that tests talk to; it lives in integrations/testing, where other packages' tests find it too."""

from integrations.testing.receiver import Answer, Receiver, Reply, Request, Responder

__all__ = ["Answer", "Receiver", "Reply", "Request", "Responder"]
