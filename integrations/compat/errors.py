"""Other names of our errors."""

from integrations.errors import IntegrationError

ConnectorError = IntegrationError  # whatever goes wrong in a connector
