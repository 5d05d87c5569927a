"""What every test of this repository may ask for, wherever it lies: these two files."""

pytest_plugins = ["integrations.tests.fixtures", "integrations.connectors.tests.fixtures"]
