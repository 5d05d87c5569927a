"""The admin's plain pages of API keys."""
