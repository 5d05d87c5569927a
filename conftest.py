"""What every test of this repository may ask for, wherever it lies: integrations/tests/fixtures.py."""

pytest_plugins = ["integrations.tests.fixtures"]
