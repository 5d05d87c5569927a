"""The list of integrations: how each is, what needs somebody first."""
