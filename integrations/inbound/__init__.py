"""A provider's webhooks to us: verified, stored, processed afterwards."""
